//! What a look at a connection found, line by line.

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// A stable lowerCamelCase name: `reachable`, `credentials`, `companies`, `contacts`, `tickets`.
    pub name: &'static str,
    /// Whether it works.
    pub ok: bool,
    /// What was found, in one sentence.
    pub detail: String,
    /// Who must do what, where something must be done.
    pub action: Option<String>,
}

/// All that was tried, in the order in which it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The lines.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether everything works.
    pub fn ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }

    /// Adds a line about something that works.
    pub fn works(&mut self, name: &'static str, detail: impl Into<String>) {
        self.checks.push(Check {
            name,
            ok: true,
            detail: detail.into(),
            action: None,
        });
    }

    /// Adds a line about something that does not.
    pub fn fails(
        &mut self,
        name: &'static str,
        detail: impl Into<String>,
        action: impl Into<String>,
    ) {
        self.checks.push(Check {
            name,
            ok: false,
            detail: detail.into(),
            action: Some(action.into()),
        });
    }
}
