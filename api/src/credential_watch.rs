//! Warns in the log while the app registration's credential needs somebody to act: at the start, and
//! then once a day.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use crate::{credential_report::CredentialReport, wiring::Services};

/// How often the credential is looked at; its file is read again then, too.
const INTERVAL: Duration = Duration::from_secs(3600);
/// How often the same state is warned of.
const REPEAT: TimeDelta = TimeDelta::days(1);

/// Looks at the start and then every hour, until `stop` turns true.
pub async fn run(services: Services, mut stop: watch::Receiver<bool>) {
    let mut reminder = Reminder::default();
    while !*stop.borrow() {
        if let Some(credential) = &services.credential {
            let now = services.store.clock().now();
            let report = CredentialReport::new(&credential.status(now), now);
            if reminder.is_due(report.needs_attention, now) {
                tracing::warn!(
                    credential = report.detail,
                    "the app registration's credential needs attention"
                );
            }
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            _ = stop.changed() => {}
        }
    }
}

/// When it was warned last.
#[derive(Default)]
struct Reminder {
    warned_at: Option<DateTime<Utc>>,
}

impl Reminder {
    /// Whether to warn now.
    fn is_due(&mut self, needs_attention: bool, now: DateTime<Utc>) -> bool {
        if !needs_attention {
            self.warned_at = None;
            return false;
        }
        let is_due = self.warned_at.is_none_or(|at| now - at >= REPEAT);
        if is_due {
            self.warned_at = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_that_needs_attention_is_warned_of_once_a_day() {
        let mut reminder = Reminder::default();
        let begin: DateTime<Utc> = "2026-06-01T12:00:00Z".parse().unwrap();
        let hours: Vec<i64> = (0..60)
            .filter(|hour| reminder.is_due(*hour >= 2, begin + TimeDelta::hours(*hour)))
            .collect();
        assert_eq!(hours, [2, 26, 50]);
        // Put right and then wrong again is news.
        let at = |hours| begin + TimeDelta::hours(hours);
        assert!(!reminder.is_due(false, at(60)));
        assert!(reminder.is_due(true, at(61)));
    }
}
