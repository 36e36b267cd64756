//! Places in a database's log as text that sorts as they do.

/// A place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Goes to `db_lsn`.
    pub(super) text: String,
    /// Which of several changes at the same place.
    pub(super) within: String,
}

impl Position {
    fn new(text: String) -> Self {
        Self { text, within: String::new() }
    }

    /// PostgreSQL writes `16/B374D848` and means a number of 64 bits: `00000016/B374D848`.
    pub(super) fn postgres(number: u64) -> Self {
        Self::new(format!("{:08X}/{:08X}", number >> 32, number & 0xffff_ffff))
    }

    /// The same from PostgreSQL's own text, if it is one.
    pub(super) fn postgres_text(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        let half = |text: &str| u32::from_str_radix(text, 16).ok().map(u64::from);
        Some(Self::postgres(half(high)? << 32 | half(low)?))
    }

    /// Any number, with leading zeros.
    pub(super) fn number(number: u64) -> Self {
        Self::new(format!("{number:020}"))
    }

    /// MySQL's binlog: file names are numbered with leading zeros already.
    pub(super) fn binlog(file: &str, place: u64) -> Self {
        Self::new(format!("{file}:{place:020}"))
    }

    /// A place that only its database can read: PostgreSQL's text, a number, or as it is.
    pub(super) fn any(text: &str) -> Self {
        let number = || text.parse().ok().map(Self::number);
        Self::postgres_text(text).or_else(number).unwrap_or_else(|| Self::new(text.to_owned()))
    }

    pub(super) fn within(self, within: String) -> Self {
        Self { within, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_sort_as_they_lie_in_the_log() {
        let texts = |positions: Vec<Position>| positions.into_iter().map(|position| position.text).collect::<Vec<_>>();
        let postgres = texts(["0/9", "0/10", "0/16B3748", "9/0", "10/0", "FFFFFFFF/FFFFFFFF"].map(Position::any).into());
        assert!(postgres.is_sorted(), "{postgres:?}");
        let numbers = texts(["0", "9", "10", "18446744073709551615"].map(Position::any).into());
        assert!(numbers.is_sorted(), "{numbers:?}");
        assert!(Position::binlog("mysql-bin.000003", 9).text < Position::binlog("mysql-bin.000003", 10).text);
        assert_eq!(Position::postgres(23_803_720), Position::any("0/16B3748"));
        assert_eq!(Position::any("nonsense").text, "nonsense");
    }
}
