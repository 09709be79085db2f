//! What a command says when it fails: one line, with what to do.

use std::{error::Error, fmt::Write as _};

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    /// What could not be done.
    what: String,
    /// What stood in the way.
    cause: Option<Box<dyn Error + Send + Sync>>,
    /// What to do about it, a sentence with its full stop; empty when the rest says so.
    advice: String,
    /// The exit code: 1, unless a command gives it another meaning.
    code: u8,
}

impl Failure {
    /// Something that could not be done.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            cause: None,
            advice: String::new(),
            code: 1,
        }
    }

    /// With another exit code.
    pub fn exiting(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// The exit code of the process.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// What stood in the way.
    pub fn because(self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..self
        }
    }

    /// What to do about it.
    pub fn advise(self, advice: impl Into<String>) -> Self {
        Self {
            advice: advice.into(),
            ..self
        }
    }

    /// The failure for people: what, the innermost cause, and what to do. One line, unless what failed
    /// has itself several. With `verbose` every cause follows on a line of its own.
    pub fn render(&self, verbose: bool) -> String {
        let causes: Vec<String> = self.causes().collect();
        let mut text = format!("tenantry: {}", self.what);
        if let Some(innermost) = causes.last() {
            text.push_str(": ");
            text.push_str(innermost);
        }
        if !self.advice.is_empty() {
            if !text.ends_with(['.', '?', '!']) {
                text.push('.');
            }
            text.push(' ');
            text.push_str(&self.advice);
        }
        if verbose {
            for cause in causes {
                // Writing to a string does not fail.
                let _written = write!(text, "\n  caused by: {cause}");
            }
        }
        text
    }

    /// The causes from the outermost to the innermost, each on one line.
    fn causes(&self) -> impl Iterator<Item = String> {
        let mut next: Option<&(dyn Error + 'static)> = match &self.cause {
            Some(cause) => Some(&**cause),
            None => None,
        };
        std::iter::from_fn(move || {
            let cause = next?;
            next = cause.source();
            Some(
                cause
                    .to_string()
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the database is not available")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("connection refused\n\tis the server running?")]
    struct Inner;

    #[test]
    fn a_failure_is_one_line_with_its_innermost_cause_and_what_to_do() {
        let failure = Failure::new("cannot open postgres://localhost/t")
            .because(Outer(Inner))
            .advise("Start it.");
        assert_eq!(
            failure.render(false),
            "tenantry: cannot open postgres://localhost/t: connection refused is the server running? Start it."
        );
        assert_eq!(failure.render(true).lines().count(), 3);
        assert_eq!(Failure::new("no").render(true), "tenantry: no");
    }
}
