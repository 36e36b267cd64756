//! What a group asks of the disk and of the state it orders; others fill this in.

use std::io;

use bytes::Bytes;
use watershed_schema::{EntryKind, LogRecord, Lsn, Term};

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

    /// All that must outlive a purge, a few KB.
    fn snapshot(&self) -> Bytes;

    /// Starts again from a snapshot.
    ///
    /// # Errors
    /// When it cannot be read.
    fn restore(&mut self, snapshot: &[u8]) -> io::Result<()>;
}
