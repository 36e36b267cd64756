//! How time is cut into partitions: by hour, day or month of `timestamp`; event type comes second.
//!
//! Values are Iceberg's: hours, days and months since 1970. Who knows the hour knows the day, so files of a finer
//! partitioning can be listed under a coarser one.

use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate};
use iceberg::spec::{PartitionSpec, Transform};
use watershed_schema::Column;

use crate::schema;

const HOUR_US: i64 = 3_600_000_000;
const HOURS_OF_DAY: i32 = 24;
const MONTHS_OF_YEAR: i32 = 12;
const FIRST_YEAR: i32 = 1970;

/// How long a partition is. A longer one is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Partitioning {
    /// An hour.
    #[default]
    Hour,
    /// A day, UTC.
    Day,
    /// A month, UTC.
    Month,
}

impl Partitioning {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    /// As it stands in settings and folder names.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// Name of the partition field.
    pub(crate) const fn field(self) -> &'static str {
        match self {
            Self::Hour => "timestamp_hour",
            Self::Day => "timestamp_day",
            Self::Month => "timestamp_month",
        }
    }

    pub(crate) const fn transform(self) -> Transform {
        match self {
            Self::Hour => Transform::Hour,
            Self::Day => Transform::Day,
            Self::Month => Transform::Month,
        }
    }

    pub(crate) fn of_transform(transform: Transform) -> Option<Self> {
        Self::ALL.into_iter().find(|partitioning| partitioning.transform() == transform)
    }

    /// The partitioning of a spec, when it is one of ours.
    pub(crate) fn of_spec(spec: &PartitionSpec) -> Option<Self> {
        let [time, kind] = spec.fields() else { return None };
        let is_kind = kind.source_id == schema::id(Column::EventType) && kind.transform == Transform::Identity;
        let is_time = time.source_id == schema::id(Column::Timestamp);
        if is_kind && is_time { Self::of_transform(time.transform) } else { None }
    }

    /// The partition of a time in microseconds since 1970; `None` when it is too far away.
    pub(crate) fn value(self, at_us: i64) -> Option<i32> {
        self.of_hour(i32::try_from(at_us.div_euclid(HOUR_US)).ok()?)
    }

    fn of_hour(self, hour: i32) -> Option<i32> {
        self.of_finer(Self::Hour, hour)
    }

    /// The partition that one of a finer partitioning lies in.
    pub(crate) fn of_finer(self, finer: Self, value: i32) -> Option<i32> {
        match (finer, self) {
            (Self::Hour, Self::Day) => Some(value.div_euclid(HOURS_OF_DAY)),
            (Self::Hour, Self::Month) => month(value.div_euclid(HOURS_OF_DAY)),
            (Self::Day, Self::Month) => month(value),
            _ => (finer == self).then_some(value),
        }
    }

    /// A partition's time for people: `2026-11-26-13`, `2026-11-26`, `2026-11`.
    pub(crate) fn text(self, value: i32) -> String {
        let written = match self {
            Self::Hour => {
                let day = date(value.div_euclid(HOURS_OF_DAY));
                day.map(|day| format!("{}-{:02}", day.format("%Y-%m-%d"), value.rem_euclid(HOURS_OF_DAY)))
            }
            Self::Day => date(value).map(|day| day.format("%Y-%m-%d").to_string()),
            Self::Month => {
                let (year, month) = (value.div_euclid(MONTHS_OF_YEAR), value.rem_euclid(MONTHS_OF_YEAR));
                Some(format!("{:04}-{:02}", FIRST_YEAR + year, month + 1))
            }
        };
        written.unwrap_or_else(|| value.to_string())
    }
}

impl FromStr for Partitioning {
    type Err = UnknownPartitioning;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|partitioning| partitioning.word() == text).ok_or(UnknownPartitioning)
    }
}

/// Not one of the words.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("must be hour, day or month")]
pub struct UnknownPartitioning;

fn date(days: i32) -> Option<NaiveDate> {
    Some(DateTime::from_timestamp(i64::from(days) * 86_400, 0)?.date_naive())
}

/// Months since 1970 of a day since 1970.
fn month(day: i32) -> Option<i32> {
    let date = date(day)?;
    Some((date.year() - FIRST_YEAR) * MONTHS_OF_YEAR + date.month0().cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_the_partitions_that_iceberg_gives_it() {
        let all = |at: &str| {
            let us = DateTime::parse_from_rfc3339(at).expect("a time").timestamp_micros();
            Partitioning::ALL.map(|by| {
                let transform = iceberg::transform::create_transform_function(&by.transform()).expect("known");
                let theirs = transform.transform_literal(&iceberg::spec::Datum::timestamptz_micros(us)).expect("transforms");
                let value = by.value(us).expect("near");
                let theirs = theirs.expect("a value").literal().clone();
                assert_eq!(theirs, iceberg::spec::PrimitiveLiteral::Int(value), "{at} by {}", by.word());
                by.text(value)
            })
        };
        assert_eq!(all("2026-11-26T13:59:59Z"), ["2026-11-26-13", "2026-11-26", "2026-11"]);
        assert_eq!(all("1970-01-01T00:00:00Z"), ["1970-01-01-00", "1970-01-01", "1970-01"]);
        assert_eq!(all("1969-12-31T23:59:59Z"), ["1969-12-31-23", "1969-12-31", "1969-12"]);
        assert_eq!(all("0001-01-01T00:00:00Z"), ["0001-01-01-00", "0001-01-01", "0001-01"]);
        assert_eq!(all("9999-12-31T23:00:00Z"), ["9999-12-31-23", "9999-12-31", "9999-12"]);
    }

    #[test]
    fn a_coarser_partition_is_known_from_a_finer_one_and_not_the_other_way_round() {
        let hour = Partitioning::Hour.value(1_795_698_000_000_000).expect("near");
        let day = Partitioning::Day.of_finer(Partitioning::Hour, hour).expect("coarser");
        assert_eq!(Partitioning::Day.text(day), "2026-11-26");
        assert_eq!(Partitioning::Month.of_finer(Partitioning::Day, day), Partitioning::Month.of_finer(Partitioning::Hour, hour));
        assert_eq!(Partitioning::Hour.of_finer(Partitioning::Day, day), None);
        assert!(Partitioning::Hour < Partitioning::Day && Partitioning::Day < Partitioning::Month);
    }
}
