//! What a look at a connection found, line by line.

use crate::error::PsaError;

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
    /// Whether the PSA refused the credentials themselves: not to be tried again by itself, for some PSAs lock
    /// the user.
    pub rejected: bool,
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

    /// Notes that a line fails because the credentials were refused, where that is the error.
    pub fn note_refusal(&mut self, error: &PsaError) {
        self.rejected |= matches!(error, PsaError::Auth { .. });
    }
}
