//! The columns that every source fills the same way.

use watershed_schema::limits::{FUTURE_MICROS_MAX, TIME_MICROS_MAX, TIME_MICROS_MIN};
use watershed_schema::{Column, EventType, EventWriter, KeyValueWriter};

use crate::{Context, Fault};

const DAY_MICROS: i64 = 86_400_000_000;
const HOUR_MICROS: i64 = 3_600_000_000;

/// A time that can be stored, microseconds since 1970.
pub(crate) fn storable(field: &'static str, us: i64) -> Result<i64, Fault> {
    let is_storable = (TIME_MICROS_MIN..=TIME_MICROS_MAX).contains(&us);
    is_storable.then_some(us).ok_or_else(|| (field, format!("{us} microseconds since 1970 lie outside the years 1 to 9999")))
}

/// What all events of a request have in common.
pub(crate) fn write_shared(row: &mut EventWriter<'_>, context: &Context, event_type: EventType, source: &str) {
    row.str(Column::EventType, event_type.as_str());
    row.str(Column::Ns, context.tenant.as_str());
    row.str(Column::EventSource, source);
    row.str(Column::Visibility, "user");
    row.int(Column::IngestedAt, context.received_at_us);
    row.str(Column::BatchId, &context.batch_id);
    row.int(Column::SchemaVersion, 1);
}

/// An event's own time, made fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventTime {
    /// Goes to `timestamp`, microseconds.
    pub(crate) us: i64,
    /// The time as it was sent, when it lay too far in the future: 64 bits of nanoseconds end in the year 2262.
    pub(crate) original_ns: Option<i128>,
}

impl EventTime {
    /// `ns` since the epoch, 0 = unknown.
    pub(crate) fn of(ns: u64, context: &Context) -> Self {
        match i64::try_from(ns).unwrap_or(i64::MAX) {
            0 => Self::received(context),
            ns => Self::fit(ns.div_euclid(1000), ns.into(), context),
        }
    }

    /// `us` since the epoch.
    pub(crate) fn of_us(us: i64, context: &Context) -> Self {
        Self::fit(us, i128::from(us) * 1000, context)
    }

    /// That of the request.
    pub(crate) fn received(context: &Context) -> Self {
        Self { us: context.received_at_us, original_ns: None }
    }

    fn fit(us: i64, ns: i128, context: &Context) -> Self {
        if us > context.received_at_us.saturating_add(FUTURE_MICROS_MAX) {
            Self { us: context.received_at_us, original_ns: Some(ns) }
        } else {
            Self { us, original_ns: None }
        }
    }

    /// Writes `original_timestamp` into `data` of OTLP, whose times have 64 bits.
    pub(crate) fn write_original(self, list: &mut KeyValueWriter<'_>) {
        let original = self.original_ns.map(|ns| i64::try_from(ns).unwrap_or(i64::MAX));
        original.into_iter().for_each(|ns| list.int("original_timestamp", ns));
    }

    /// Writes `timestamp`, `hour` and `day`.
    pub(crate) fn write(self, row: &mut EventWriter<'_>) {
        row.int(Column::Timestamp, self.us);
        row.int(Column::Hour, hour(self.us));
        row.str(Column::Day, &date(self.us));
    }
}

/// Hour of the day, 0 to 23.
pub(crate) fn hour(us: i64) -> i64 {
    us.rem_euclid(DAY_MICROS) / HOUR_MICROS
}

/// `YYYY-MM-DD` of a day since the epoch (Howard Hinnant, "chrono-compatible low-level date algorithms").
pub(crate) fn date(us: i64) -> String {
    let shifted = us.div_euclid(DAY_MICROS) + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    ten_chars(year, month, day).unwrap_or_else(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// For years of four digits; formatting machinery costs ten times as much, and every row has a date.
fn ten_chars(year: i64, month: i64, day: i64) -> Option<String> {
    let digit = |number: i64| char::from_digit(u32::try_from(number % 10).ok()?, 10);
    let digits = [year / 1000, year / 100, year / 10, year, month / 10, month, day / 10, day];
    let mut text = String::with_capacity(10);
    for (place, number) in digits.into_iter().enumerate() {
        if matches!(place, 4 | 6) {
            text.push('-');
        }
        text.push(digit(number)?);
    }
    (year < 10_000).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_has_the_date_that_chrono_gives_it() {
        for days in (-719_528..3_000_000).step_by(97) {
            let oracle = chrono::DateTime::from_timestamp_micros(days * DAY_MICROS).unwrap().format("%Y-%m-%d").to_string();
            assert_eq!(date(days * DAY_MICROS), oracle.trim_start_matches('+'), "{days}");
        }
    }

    #[test]
    fn days_have_dates() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "10000-01-01"),
            (19_782, "2024-02-29"),
            (20_781, "2026-11-24"),
        ] {
            assert_eq!(date(days * DAY_MICROS), text);
        }
    }
}
