//! What can go wrong on the disk.

use watershed_schema::{Lsn, Seq};

/// An operating error of the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HotError {
    /// No space: the transaction was rolled back, nothing was written, the store goes on.
    #[error("the disk is full")]
    DiskFull,
    /// More bytes wait for the disk than the queue may hold; nothing was taken.
    #[error("{waiting} bytes wait for the disk, limit {limit}")]
    Busy {
        /// Bytes in the queue.
        waiting: usize,
        /// [`crate::Options::queue_bytes_max`].
        limit: usize,
    },
    /// An earlier write failed: what is on disk is unknown, so nothing more is written.
    #[error("an earlier write failed, the store takes no more: {0}")]
    Poisoned(String),
    /// An entry is not what was written.
    #[error("checksum of entry {lsn} is wrong")]
    Corrupt {
        /// The entry.
        lsn: Lsn,
    },
    /// These events are no longer here.
    #[error("events below {first} are trimmed")]
    Trimmed {
        /// The first that is.
        first: Seq,
    },
    /// The file belongs to somebody else, or to another version.
    #[error("not a shard file of this version: {0}")]
    Foreign(String),
    /// An entry that cannot be stored.
    #[error("entry {lsn}: {reason}")]
    Invalid {
        /// The entry.
        lsn: Lsn,
        /// What is wrong.
        reason: String,
    },
    /// The writer thread is gone.
    #[error("the store is closed")]
    Closed,
    /// Anything else that SQLite says.
    #[error("sqlite: {0}")]
    Sqlite(String),
}

impl From<rusqlite::Error> for HotError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::DiskFull,
            _ => Self::Sqlite(error.to_string()),
        }
    }
}

impl HotError {
    /// Whether the same call may work later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::DiskFull | Self::Busy { .. })
    }
}
