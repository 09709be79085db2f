//! What a failure at a PSA means for people: one code, one sentence, who does what.

use chrono::{DateTime, Utc};
use tenantry_psa::{PsaError, PsaKind, report::Report};

use super::Trouble;

/// Turns a failure into what people are told.
pub fn trouble_of(error: &PsaError, kind: PsaKind, now: DateTime<Utc>) -> Trouble {
    let psa = kind.product();
    let (code, detail, action) = match error {
        PsaError::Config { what } => (
            "psaConfigurationInvalid",
            format!("The connection to {psa} cannot be used as it is set up: {}.", bare(what)),
            Some("Correct the connection's address, credentials or settings.".to_owned()),
        ),
        PsaError::Auth { what } => (
            "psaCredentialsRejected",
            format!("{psa} does not accept the credentials: {}.", bare(what)),
            Some(format!(
                "Make new credentials in {psa} and put them into the connection; some PSAs lock a user after failed sign-ins."
            )),
        ),
        PsaError::Permission { what } => (
            "psaPermissionMissing",
            format!("A right is missing in {psa}: {}.", bare(what)),
            Some(format!(
                "An administrator of {psa} gives the user of the connection this right."
            )),
        ),
        PsaError::AddressRefused => (
            "psaAddressRefused",
            format!("The address of {psa} leads to where this installation does not call."),
            Some(
                "Correct the address; for a PSA in a private network whoever runs this installation adds it to private_upstreams."
                    .to_owned(),
            ),
        ),
        PsaError::Transient { what } => (
            "psaUnreachable",
            format!("{psa} cannot be reached: {}.", bare(what)),
            None,
        ),
        PsaError::Ambiguous => (
            "psaUnreachable",
            format!("{psa} did not answer a change; it may have been made there."),
            None,
        ),
        PsaError::RateLimited { retry_after } => (
            "psaRateLimited",
            match retry_after {
                Some(seconds) => format!("{psa} wants calls to wait for {seconds} s."),
                None => format!("{psa} wants calls to wait."),
            },
            None,
        ),
        PsaError::Protocol { status, what } => (
            "psaUnexpectedAnswer",
            format!("{psa} gave an answer that is none of its own (status {status}): {}.", bare(what)),
            Some(
                "Check that the address is that of the PSA's API and that no proxy answers in its place."
                    .to_owned(),
            ),
        ),
        PsaError::Validation { fields, text } if fields.is_empty() => (
            "psaRequestRefused",
            format!("{psa} refused a request: {}.", bare(text)),
            Some("Check the connection's settings against the PSA.".to_owned()),
        ),
        PsaError::Validation { fields, text } => (
            "psaRequestRefused",
            format!(
                "{psa} refused a request ({}): {}.",
                fields.join(", "),
                bare(text)
            ),
            Some("Check the connection's settings against the PSA.".to_owned()),
        ),
        PsaError::NotFound => (
            "psaRequestRefused",
            format!("{psa} has no record that the request was about."),
            None,
        ),
        PsaError::Conflict => (
            "psaRequestRefused",
            format!("A record changed in {psa} meanwhile."),
            None,
        ),
    };
    Trouble {
        code: code.to_owned(),
        detail,
        action,
        at: now,
    }
}

/// Words that go on in a sentence of ours.
fn bare(text: &str) -> &str {
    text.trim().trim_end_matches('.')
}

/// What a report's first line that does not work means; none when all work.
pub(super) fn trouble_in(report: &Report, now: DateTime<Utc>) -> Option<Trouble> {
    let check = report.checks.iter().find(|check| !check.ok)?;
    let code = match check.name {
        _any if report.rejected => "psaCredentialsRejected",
        "reachable" | "credentials" => "psaUnreachable",
        "tickets" | "ticketSettings" | "settings" => "psaConfigurationInvalid",
        _right => "psaPermissionMissing",
    };
    Some(Trouble {
        code: code.to_owned(),
        detail: check.detail.clone(),
        action: check.action.clone(),
        at: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_a_code_a_sentence_and_who_acts_where_someone_must() {
        let what = || "x".to_owned();
        let now = DateTime::UNIX_EPOCH;
        for (error, code, someone_acts) in [
            (
                PsaError::Config { what: what() },
                "psaConfigurationInvalid",
                true,
            ),
            (
                PsaError::Auth { what: what() },
                "psaCredentialsRejected",
                true,
            ),
            (
                PsaError::Permission { what: what() },
                "psaPermissionMissing",
                true,
            ),
            (PsaError::AddressRefused, "psaAddressRefused", true),
            (
                PsaError::Transient { what: what() },
                "psaUnreachable",
                false,
            ),
            (PsaError::Ambiguous, "psaUnreachable", false),
            (
                PsaError::RateLimited {
                    retry_after: Some(7),
                },
                "psaRateLimited",
                false,
            ),
            (
                PsaError::Protocol {
                    status: 200,
                    what: what(),
                },
                "psaUnexpectedAnswer",
                true,
            ),
            (
                PsaError::Validation {
                    fields: vec![what()],
                    text: what(),
                },
                "psaRequestRefused",
                true,
            ),
            (PsaError::NotFound, "psaRequestRefused", false),
            (PsaError::Conflict, "psaRequestRefused", false),
        ] {
            for kind in PsaKind::ALL {
                let trouble = trouble_of(&error, kind, now);
                assert_eq!(trouble.code, code);
                assert_eq!(trouble.action.is_some(), someone_acts, "{error:?}");
                assert!(trouble.detail.contains(kind.product()) && trouble.detail.ends_with('.'));
            }
        }
    }

    #[test]
    fn the_first_line_of_a_report_that_does_not_work_is_the_trouble() {
        let mut report = Report::default();
        report.works("reachable", "Reached.");
        assert_eq!(trouble_in(&report, DateTime::UNIX_EPOCH), None);
        report.fails("companies", "No right to read companies.", "Give it.");
        report.fails("credentials", "later", "later");
        let trouble = trouble_in(&report, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(trouble.code, "psaPermissionMissing");
        assert_eq!(trouble.action.as_deref(), Some("Give it."));
        let mut report = Report::default();
        report.fails("credentials", "No token to be had.", "Try again.");
        assert_eq!(
            trouble_in(&report, DateTime::UNIX_EPOCH).unwrap().code,
            "psaUnreachable"
        );
        report.note_refusal(&PsaError::Auth {
            what: "unknown".to_owned(),
        });
        assert_eq!(
            trouble_in(&report, DateTime::UNIX_EPOCH).unwrap().code,
            "psaCredentialsRejected"
        );
    }
}
