//! What is known about the app registration's credential, in words for an operator.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use tenantry_core::microsoft::client_credential::{CredentialStatus, ProofKind};

/// How long before its end a credential is warned of.
const NOTICE: TimeDelta = TimeDelta::days(30);

/// A credential's state in words.
#[derive(Debug, PartialEq, Eq)]
pub struct CredentialReport {
    /// Whether it can be used: it has not ended and is not refused.
    pub is_well: bool,
    /// Whether somebody should act: it is not well, ends soon, or its changed file cannot be used.
    pub needs_attention: bool,
    /// One line.
    pub detail: String,
}

impl CredentialReport {
    /// The report at this moment.
    pub fn new(status: &CredentialStatus, now: DateTime<Utc>) -> Self {
        let has_ended = status.expires_at.is_some_and(|end| end <= now);
        let ends_soon = status.expires_at.is_some_and(|end| end - now <= NOTICE);
        let is_well = !has_ended && status.refusal.is_none();
        Self {
            is_well,
            needs_attention: !is_well || ends_soon || status.trouble.is_some(),
            detail: detail(status, now),
        }
    }
}

fn detail(status: &CredentialStatus, now: DateTime<Utc>) -> String {
    let mut detail = match (status.kind, status.count) {
        (ProofKind::Certificate, count @ 2..) => format!("{count} certificates"),
        (kind, _) => kind.as_str().to_owned(),
    };
    detail.push_str(&match status.expires_at {
        None => "; its end is shown in Entra; TENANTRY_MICROSOFT_CLIENT_SECRET_EXPIRES can tell it"
            .to_owned(),
        Some(end) if end <= now => format!("; expired {}", text(end)),
        Some(end) if end - now <= NOTICE => {
            let left = match (end - now).num_days() {
                0 => "less than a day".to_owned(),
                1 => "1 day".to_owned(),
                days => format!("{days} days"),
            };
            format!("; expires {}, in {left}", text(end))
        }
        Some(end) => format!("; expires {}", text(end)),
    });
    if let Some(refusal) = &status.refusal {
        let number = refusal
            .aadsts
            .map_or_else(String::new, |number| format!(" (AADSTS{number})"));
        let since = text(refusal.since);
        append(
            &mut detail,
            format_args!("refused by Microsoft since {since}{number}"),
        );
    } else if status.refused > 0 {
        let CredentialStatus { refused, count, .. } = status;
        append(
            &mut detail,
            format_args!("Microsoft does not accept {refused} of {count}"),
        );
    }
    if let Some(trouble) = &status.trouble {
        let (since, why) = (text(trouble.since), &trouble.why);
        append(
            &mut detail,
            format_args!(
                "the file as changed cannot be used since {since}: {why}; what was read before is used on"
            ),
        );
    }
    detail
}

fn append(detail: &mut String, part: std::fmt::Arguments<'_>) {
    // Writing to a text does not fail.
    let _infallible = write!(detail, "; {part}");
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use tenantry_core::{
        microsoft::client_credential::{ClientCredential, Refusal},
        secrets::SecretText,
    };
    use tenantry_tests::certificates::{first, second};

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }

    fn report(status: &CredentialStatus) -> (bool, bool, String) {
        let report = CredentialReport::new(status, now());
        (report.is_well, report.needs_attention, report.detail)
    }

    fn secret_until(end: Option<DateTime<Utc>>) -> CredentialStatus {
        let secret = SecretText::new("canary".to_owned());
        let credential = ClientCredential::with_secret("id".to_owned(), secret);
        match end {
            Some(end) => credential.with_secret_end(end).status(now()),
            None => credential.status(now()),
        }
    }

    #[test]
    fn an_end_is_told_and_warned_of_from_thirty_days_before() {
        let left = |days, seconds| {
            let end = now() + TimeDelta::days(days) + TimeDelta::seconds(seconds);
            report(&secret_until(Some(end)))
        };
        let said = |words: &str| format!("secret; {words}");
        assert_eq!(
            left(30, 1),
            (true, false, said("expires 2026-07-01T12:00:01Z"))
        );
        assert_eq!(
            left(30, 0),
            (true, true, said("expires 2026-07-01T12:00:00Z, in 30 days"))
        );
        assert_eq!(
            left(0, 1),
            (
                true,
                true,
                said("expires 2026-06-01T12:00:01Z, in less than a day")
            )
        );
        assert!(left(1, 0).2.ends_with(", in 1 day"));
        assert_eq!(
            left(0, 0),
            (false, true, said("expired 2026-06-01T12:00:00Z"))
        );
        let (well, attention, detail) = report(&secret_until(None));
        assert!(
            well && !attention && detail.contains("SECRET_EXPIRES"),
            "{detail}"
        );
    }

    #[test]
    fn a_refusal_is_told_with_its_beginning_and_number() {
        let mut status = secret_until(None);
        status.refusal = Some(Refusal {
            since: "2026-05-31T09:00:00Z".parse().unwrap(),
            aadsts: Some(7_000_222),
        });
        status.refused = 1;
        let (well, attention, detail) = report(&status);
        assert!(!well && attention);
        let end = "; refused by Microsoft since 2026-05-31T09:00:00Z (AADSTS7000222)";
        assert!(detail.ends_with(end), "{detail}");
    }

    #[test]
    fn several_certificates_and_a_file_that_cannot_be_used_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certificates.pem");
        let pem = SecretText::new(format!("{}{}", first().pem(), second().pem()));
        std::fs::write(&path, pem.expose()).unwrap();
        let credential = ClientCredential::with_certificate("id".to_owned(), &pem).unwrap();
        let credential = credential.follow(path.clone());
        let mut status = credential.status(now());
        let whole = "2 certificates; expires 2036-02-01T12:30:45Z";
        assert_eq!(report(&status), (true, false, whole.to_owned()));
        status.refused = 1;
        let (.., detail) = report(&status);
        assert_eq!(detail, format!("{whole}; Microsoft does not accept 1 of 2"));
        std::fs::write(&path, first().certificate).unwrap();
        let (well, attention, detail) = report(&credential.status(now()));
        assert!(well && attention);
        let trouble = "the file as changed cannot be used since 2026-06-01T12:00:00Z: \
                       the PEM text has no private key; what was read before is used on";
        assert_eq!(detail, format!("{whole}; {trouble}"));
    }
}
