//! What a group asks of the disk and of the state it orders; others fill this in.

use std::io;

use bytes::Bytes;
use watershed_schema::{EntryKind, LogRecord, Lsn, Seq, Term};

/// Told once, when a write is durable or has failed.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// A replica's log on disk. Writes are carried out in the order of the calls.
pub trait ReplicaStore: Send + Sync + 'static {
    /// Appends entries; MUST call `done` only when they survive a power cut.
    fn append(&self, records: Vec<LogRecord>, done: Done);

    /// Removes entries from `lsn` on.
    fn truncate_from(&self, lsn: Lsn, done: Done);

    /// Keeps a small value beside the log, durable when `done` is told.
    fn put_meta(&self, key: &str, value: Bytes, done: Done);

    /// Removes entries up to and with `lsn_inclusive`.
    ///
    /// # Errors
    /// What the disk says.
    fn purge_upto(&self, lsn_inclusive: Lsn) -> io::Result<()>;

    /// Starts the log again behind a snapshot. In one step, durable when `done` is told: entries up to and with
    /// `base.lsn` are gone, the first event behind it has the number `base.next_seq`, and `values` are kept beside
    /// the log. Entries behind `base.lsn` stay; MUST fail when their numbers do not continue from `base.next_seq`.
    fn install(&self, base: Base, values: Vec<(String, Bytes)>, done: Done);

    /// Number of the first event behind the entry `lsn`, which is in the log or was the last one purged.
    ///
    /// # Errors
    /// What the disk says.
    fn next_seq_after(&self, lsn: Lsn) -> io::Result<Seq>;

    /// Entries `[from, to)`, up to `bytes_max` of payload, at least one if there is one.
    ///
    /// # Errors
    /// What the disk says; a damaged entry is an error.
    fn records(&self, from: Lsn, to_exclusive: Lsn, bytes_max: usize) -> io::Result<Vec<LogRecord>>;

    /// Position of the last entry.
    ///
    /// # Errors
    /// What the disk says.
    fn last(&self) -> io::Result<Option<(Lsn, Term)>>;

    /// A value that was kept.
    ///
    /// # Errors
    /// What the disk says.
    fn meta(&self, key: &str) -> io::Result<Option<Bytes>>;
}

/// Where a log begins that starts with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// The last entry that the snapshot holds.
    pub lsn: Lsn,
    /// Number of the first event behind it.
    pub next_seq: Seq,
}

/// A committed entry's effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The entry.
    pub lsn: Lsn,
    /// What the state machine answered.
    pub answer: Bytes,
}

/// What committed entries amount to. MUST be deterministic: every replica applies the same entries in the same order.
pub trait StateMachine: Send + Sync + 'static {
    /// Applies a committed entry.
    fn apply(&mut self, lsn: Lsn, kind: EntryKind, payload: &Bytes) -> Bytes;

    /// The state as it was behind the entry `at`, a few KB: all that must outlive a purge of the log up to there.
    /// What was applied later MUST NOT be in it, it is applied again. `at` never falls.
    ///
    /// # Errors
    /// When it cannot be told; the replica ends.
    fn snapshot(&self, at: Lsn) -> io::Result<Bytes>;

    /// Starts again from a snapshot.
    ///
    /// # Errors
    /// When it cannot be read.
    fn restore(&mut self, snapshot: &[u8]) -> io::Result<()>;
}
