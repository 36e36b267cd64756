//! A place in PostgreSQL's log.

use std::fmt;

/// A log sequence number: bytes since the beginning of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    /// As PostgreSQL writes it, `16/B374D848`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_postgresql_writes_it() {
        assert_eq!(Lsn(0x16_B374_D848).to_string(), "16/B374D848");
        assert_eq!((Lsn(0).to_string(), Lsn(u64::MAX).to_string()), ("0/0".into(), "FFFFFFFF/FFFFFFFF".into()));
    }
}
