//! Times as JSON senders write them, in microseconds since 1970.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat};

/// ISO 8601: with an offset, or in UTC without; a date alone is its midnight.
pub(super) fn iso(text: &str) -> Option<i64> {
    const FORMS: [&str; 2] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    const OFFSETS: [&str; 2] = ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"];
    let zoned = || OFFSETS.iter().find_map(|form| DateTime::parse_from_str(text, form).ok());
    let local = || FORMS.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let midnight = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let known = DateTime::parse_from_rfc3339(text).ok().or_else(zoned).map(|time| time.timestamp_micros());
    known.or_else(|| local().or_else(midnight).map(|time| time.and_utc().timestamp_micros()))
}

/// Milliseconds, as `Date.now()` and `performance` give them.
#[expect(clippy::cast_possible_truncation, reason = "a number that is too big becomes the biggest, which is no time either")]
pub(crate) fn millis(millis: f64) -> i64 {
    (millis * 1e3).round() as i64
}

/// A time as ISO 8601 in UTC.
pub(crate) fn iso_of(us: i64) -> String {
    DateTime::from_timestamp_micros(us).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_that_senders_use() {
        const AT: i64 = 1_790_000_000_250_000;
        for text in [
            "2026-09-21T14:13:20.250Z",
            "2026-09-21T16:13:20.250+02:00",
            "2026-09-21T14:13:20.25",
            "2026-09-21 14:13:20.250",
            "2026-09-21 14:13:20.250+00",
        ] {
            assert_eq!(iso(text), Some(AT), "{text}");
        }
        assert_eq!(iso("2026-09-21"), Some(AT - (14 * 3600 + 13 * 60 + 20) * 1_000_000 - 250_000));
        assert_eq!((iso("yesterday"), iso(""), iso("2026-13-01T00:00:00Z")), (None, None, None));
        assert_eq!((millis(1_790_000_000_250.0), millis(-0.5), millis(1e300)), (AT, -500, i64::MAX));
    }
}
