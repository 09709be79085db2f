//! How long a failed try is not repeated, and what else it holds up.

use chrono::TimeDelta;
use tenantry_psa::PsaError;

/// After the first failure, in minutes; doubled with each one.
const FIRST_WAIT: i64 = 1;
/// The longest wait, in minutes.
const LONGEST_WAIT: i64 = 360;
/// How often is tried what a person has to mend first.
const BETWEEN_HOPES: TimeDelta = TimeDelta::hours(1);

/// What a failure means for the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setback {
    /// Whether it would meet every ticket at this PSA: then none is tried.
    pub(super) meets_all: bool,
    /// Whether a person has to change something first.
    pub(super) needs_person: bool,
    /// Whether the PSA may have done what was asked all the same.
    pub(super) leaves_doubt: bool,
    /// No try before this has passed.
    pub(super) wait: TimeDelta,
}

impl Setback {
    /// What a failure means after so many tries.
    pub(super) fn of(error: &PsaError, attempts: i32) -> Self {
        let for_a_person = |meets_all, needs_person| Self {
            meets_all,
            needs_person,
            leaves_doubt: false,
            wait: BETWEEN_HOPES,
        };
        let passing = |meets_all, leaves_doubt, wait| Self {
            meets_all,
            needs_person: false,
            leaves_doubt,
            wait,
        };
        match error {
            PsaError::Auth { .. }
            | PsaError::Permission { .. }
            | PsaError::Config { .. }
            | PsaError::AddressRefused => for_a_person(true, true),
            PsaError::Validation { .. } => for_a_person(false, true),
            // The customer went away at the PSA; the next sync of customers tells us.
            PsaError::NotFound => for_a_person(false, false),
            PsaError::RateLimited { retry_after } => {
                let asked = retry_after.and_then(|seconds| i64::try_from(seconds).ok());
                let asked = asked.and_then(TimeDelta::try_seconds);
                let longest = TimeDelta::minutes(LONGEST_WAIT);
                let wait = asked.unwrap_or_else(|| wait(attempts));
                passing(true, false, wait.clamp(TimeDelta::seconds(1), longest))
            }
            PsaError::Transient { .. } => passing(true, false, wait(attempts)),
            PsaError::Ambiguous | PsaError::Conflict | PsaError::Protocol { .. } => {
                passing(false, true, wait(attempts))
            }
        }
    }
}

/// Until the next try after so many.
fn wait(attempts: i32) -> TimeDelta {
    let doublings = u32::try_from(attempts.saturating_sub(1))
        .unwrap_or(0)
        .min(16);
    let minutes = FIRST_WAIT.saturating_mul(2_i64.saturating_pow(doublings));
    TimeDelta::minutes(minutes.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_tries_come_further_apart_up_to_six_hours() {
        assert_eq!(wait(1), TimeDelta::minutes(1));
        assert_eq!(wait(2), TimeDelta::minutes(2));
        assert_eq!(wait(9), TimeDelta::minutes(256));
        assert_eq!(wait(10), TimeDelta::hours(6));
        assert_eq!(wait(i32::MAX), TimeDelta::hours(6));
        assert_eq!(wait(0), TimeDelta::minutes(1));
    }

    #[test]
    fn a_psa_that_names_a_time_is_believed_within_reason() {
        let limited = |retry_after| Setback::of(&PsaError::RateLimited { retry_after }, 1).wait;
        assert_eq!(limited(Some(17)), TimeDelta::seconds(17));
        assert_eq!(limited(Some(u64::MAX)), TimeDelta::minutes(1));
        assert_eq!(limited(Some(10_000_000)), TimeDelta::hours(6));
        assert_eq!(limited(Some(0)), TimeDelta::seconds(1));
        assert_eq!(limited(None), TimeDelta::minutes(1));
    }

    #[test]
    fn refused_credentials_are_not_tried_with_one_ticket_after_the_other() {
        let what = String::new;
        for error in [
            PsaError::Auth { what: what() },
            PsaError::Permission { what: what() },
            PsaError::Config { what: what() },
            PsaError::AddressRefused,
        ] {
            let setback = Setback::of(&error, 1);
            assert!(setback.meets_all && setback.needs_person, "{error}");
            assert_eq!(setback.wait, TimeDelta::hours(1));
        }
        let refused = PsaError::Validation {
            fields: Vec::new(),
            text: what(),
        };
        let setback = Setback::of(&refused, 1);
        assert!(!setback.meets_all && setback.needs_person);
    }

    #[test]
    fn only_an_unknown_outcome_leaves_a_doubt() {
        assert!(Setback::of(&PsaError::Ambiguous, 1).leaves_doubt);
        let what = String::new();
        assert!(!Setback::of(&PsaError::Transient { what }, 1).leaves_doubt);
    }
}
