//! Calendar periods in UTC: numbered without holes, so that the one `k` later is `index + k`.

use chrono::{Datelike as _, NaiveDate};

const DAY_US: i64 = 86_400_000_000;

/// Length of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Grain {
    Minute,
    Hour,
    Day,
    /// From Monday on (ISO 8601).
    Week,
    Month,
}

impl Grain {
    /// All words, for messages.
    pub(crate) const WORDS: &'static str = "minute, hour, day, week, month";

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            _ => return None,
        })
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// Number of the period that a time (microseconds) lies in.
    pub(crate) fn index(self, at_us: i64) -> i64 {
        match self {
            Self::Minute => at_us.div_euclid(60_000_000),
            Self::Hour => at_us.div_euclid(3_600_000_000),
            Self::Day => at_us.div_euclid(DAY_US),
            // 1970-01-01 was a Thursday.
            Self::Week => (at_us.div_euclid(DAY_US) + 3).div_euclid(7),
            Self::Month => month_of(at_us.div_euclid(DAY_US)),
        }
    }

    /// When the period with this number begins, microseconds.
    pub(crate) fn start(self, index: i64) -> i64 {
        match self {
            Self::Minute => index.saturating_mul(60_000_000),
            Self::Hour => index.saturating_mul(3_600_000_000),
            Self::Day => index.saturating_mul(DAY_US),
            Self::Week => (index * 7 - 3).saturating_mul(DAY_US),
            Self::Month => first_day(index).saturating_mul(DAY_US),
        }
    }

    /// How long it is when it is measured from an actor's own anchor: 1, 7 or 30 days.
    pub(crate) fn rolling_us(self) -> i64 {
        match self {
            Self::Minute => 60_000_000,
            Self::Hour => 3_600_000_000,
            Self::Day => DAY_US,
            Self::Week => 7 * DAY_US,
            Self::Month => 30 * DAY_US,
        }
    }
}

/// Months since January 1970 of a day since 1970-01-01.
fn month_of(day: i64) -> i64 {
    let date = i32::try_from(day).ok().and_then(NaiveDate::from_epoch_days).unwrap_or_else(|| end_of_time(day));
    i64::from(date.year() - 1970) * 12 + i64::from(date.month0())
}

/// Day since 1970-01-01 on which a month begins.
fn first_day(month: i64) -> i64 {
    let year = i32::try_from(month.div_euclid(12).saturating_add(1970)).ok();
    let date = year.zip(MONTHS.get(usize::try_from(month.rem_euclid(12)).unwrap_or_default()).copied());
    let first = date.and_then(|(year, month)| NaiveDate::from_ymd_opt(year, month, 1));
    i64::from(first.unwrap_or_else(|| end_of_time(month)).to_epoch_days())
}

const MONTHS: [u32; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/// Events have times of the years 1 to 9999; what a caller reckons beyond the calendar stays at its end.
fn end_of_time(side: i64) -> NaiveDate {
    if side < 0 { NaiveDate::MIN } else { NaiveDate::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_and_weeks_are_those_of_another_calendar() {
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a day");
        for day in (-719_000..2_900_000_i64).step_by(7).chain(-800..30_000) {
            let date = epoch + chrono::Duration::days(day);
            let month = i64::from(date.year()) * 12 + i64::from(date.month0()) - 1970 * 12;
            assert_eq!(Grain::Month.index(day * DAY_US + 5), month, "{date}");
            let first = (date.with_day(1).expect("a day") - epoch).num_days();
            assert_eq!(Grain::Month.start(month), first * DAY_US, "{date}");
            let monday = day - i64::from(date.weekday().num_days_from_monday());
            assert_eq!(Grain::Week.start(Grain::Week.index(day * DAY_US + DAY_US - 1)), monday * DAY_US, "{date}");
        }
    }

    #[test]
    fn a_period_holds_its_beginning_and_not_its_end() {
        for grain in [Grain::Minute, Grain::Hour, Grain::Day, Grain::Week, Grain::Month] {
            for index in [-700, -1, 0, 1, 650] {
                let (start, end) = (grain.start(index), grain.start(index + 1));
                assert_eq!((grain.index(start), grain.index(end - 1), grain.index(end)), (index, index, index + 1));
                assert_eq!(Grain::from_word(grain.as_str()), Some(grain));
            }
        }
    }
}
