//! How long Microsoft asks us to wait.
//!
//! `Retry-After` is normally whole seconds; decimals were seen, HTTP allows a date, and it can be
//! missing or nonsense. What is read is kept between one second and one hour.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

/// Shortest wait that is believed.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// Longest wait that is believed.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// Reads a `Retry-After`. `date` is the answer's own `Date`, by which a date is reckoned, so that a
/// wrong clock on either side does no harm; without it `now` is used. `None`: the sender did not say
/// anything we can read, so back off instead.
pub fn parse(
    retry_after: Option<&str>,
    date: Option<&str>,
    now: DateTime<Utc>,
) -> Option<Duration> {
    let text = retry_after?.trim();
    let wait = match seconds(text) {
        Some(wait) => wait,
        None => {
            let until = http_date(text)?;
            let from = date.and_then(|date| http_date(date.trim())).unwrap_or(now);
            (until - from).to_std().unwrap_or_default()
        }
    };
    Some(wait.clamp(SHORTEST, LONGEST))
}

/// Plain decimal seconds; a negative number is no wait at all.
fn seconds(text: &str) -> Option<Duration> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let well_formed = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
        && digits.matches('.').count() <= 1;
    if !well_formed {
        return None;
    }
    if text.starts_with('-') {
        return Some(Duration::ZERO);
    }
    let seconds: f64 = digits.parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST))
}

/// The three date formats of HTTP.
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(date) = DateTime::parse_from_rfc2822(text) {
        return Some(date.with_timezone(&Utc));
    }
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|date| date.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(text: &str) -> Option<Duration> {
        let now = DateTime::parse_from_rfc3339("2026-03-01T10:00:00Z")
            .unwrap()
            .to_utc();
        parse(Some(text), None, now)
    }

    #[test]
    fn r7_every_form_of_retry_after_is_read_and_clamped() {
        for (text, seconds) in [
            ("10", 10.0),
            (" 7 ", 7.0),
            ("2.128", 2.128),
            ("0", 1.0),
            ("0.2", 1.0),
            ("-5", 1.0),
            ("3600", 3600.0),
            ("1000000000", 3600.0),
            ("99999999999999999999999999999999999999999999", 3600.0),
            ("Sun, 01 Mar 2026 10:00:30 GMT", 30.0),
            ("Sunday, 01-Mar-26 10:00:30 GMT", 30.0),
            ("Sun Mar  1 10:00:30 2026", 30.0),
            ("Sun, 01 Mar 2026 09:00:00 GMT", 1.0),
            ("Mon, 01 Mar 2027 10:00:00 GMT", 3600.0),
        ] {
            assert_eq!(
                waits(text),
                Some(Duration::from_secs_f64(seconds)),
                "{text}"
            );
        }
        for garbage in [
            "",
            "soon",
            "1e9",
            "inf",
            "NaN",
            "1.2.3",
            ".5",
            "10 seconds",
            "0x10",
            "--1",
            "tomorrow, 10 GMT",
        ] {
            assert_eq!(waits(garbage), None, "{garbage}");
        }
        assert_eq!(parse(None, None, DateTime::UNIX_EPOCH), None);
    }

    #[test]
    fn a_date_is_reckoned_by_the_answers_own_clock() {
        let now = DateTime::parse_from_rfc3339("2020-01-01T00:00:00Z")
            .unwrap()
            .to_utc();
        let wait = parse(
            Some("Sun, 01 Mar 2026 10:00:30 GMT"),
            Some("Sun, 01 Mar 2026 10:00:00 GMT"),
            now,
        );
        assert_eq!(wait, Some(Duration::from_secs(30)));
    }
}
