//! One entry of a shard's replicated log, as consensus orders it and the hot store keeps it.

use bytes::Bytes;

use crate::{Lsn, Term};

/// What an entry means; the number is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// A new leader's first entry; no payload.
    Blank = 0,
    /// Group membership; payload belongs to `cluster`.
    Membership = 1,
    /// Events; payload is an encoded `proto::LogAppend`.
    Append = 2,
    /// A range was written to the lake; payload is an encoded `proto::Staged`.
    Staged = 3,
    /// A range is inside an Iceberg snapshot; payload is an encoded `proto::Archived`.
    Archived = 4,
    /// A change of the cluster; payload is an encoded `proto::ControlCommand`.
    Control = 5,
    /// What became of a dead letter; payload is an encoded `proto::DeadLetterChange`.
    DeadLetter = 6,
}

impl EntryKind {
    /// The kind of a number read from disk.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        const ALL: [EntryKind; 7] = [
            EntryKind::Blank,
            EntryKind::Membership,
            EntryKind::Append,
            EntryKind::Staged,
            EntryKind::Archived,
            EntryKind::Control,
            EntryKind::DeadLetter,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Position in the log.
    pub lsn: Lsn,
    /// Term of the leader that wrote it.
    pub term: Term,
    /// What the payload is.
    pub kind: EntryKind,
    /// Encoded payload; its form depends on `kind`.
    pub payload: Bytes,
}
