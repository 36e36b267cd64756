//! Why a shard does not do what it is asked.

use std::time::Duration;

use watershed_hot::HotError;
use watershed_schema::{NodeId, Seq, ShardId};

/// Why an append was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The disk is full; nothing was written.
    #[error("the disk of shard {shard} is full")]
    DiskFull {
        /// The shard.
        shard: ShardId,
        /// When to come back.
        retry_after: Duration,
    },
    /// Another node leads, or nobody does yet; nothing was written.
    #[error("shard {shard} has no leader here")]
    NotLeader {
        /// The shard.
        shard: ShardId,
        /// Who leads, as far as is known.
        leader: Option<NodeId>,
    },
    /// The leader has too much in flight; nothing was written.
    #[error("the leader of shard {shard} is busy: {reason}")]
    Busy {
        /// The shard.
        shard: ShardId,
        /// What it said.
        reason: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// Too much waits for the lake; nothing was written.
    #[error("shard {shard}: {reason}")]
    ArchiveBehind {
        /// The shard.
        shard: ShardId,
        /// How much, and why.
        reason: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// The shard stops; nothing was written.
    #[error("shard {shard} is stopping")]
    Stopped {
        /// The shard.
        shard: ShardId,
    },
    /// The events may or may not be committed; a retry is recognised by the ids.
    #[error("shard {shard}: outcome unknown: {reason}")]
    Unknown {
        /// The shard.
        shard: ShardId,
        /// What happened.
        reason: String,
    },
}

/// Why events cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// These events are no longer in the hot tier.
    #[error("events below {first} are trimmed")]
    Trimmed {
        /// The first that is.
        first: Seq,
    },
    /// Leadership could not be confirmed.
    #[error("no leader: {0}")]
    NoLeader(String),
    /// The node that has the events does not do what it was asked; reading them may still work.
    #[error("refused: {0}")]
    Refused(String),
    /// The file.
    #[error(transparent)]
    Hot(HotError),
    /// The shard stops.
    #[error("the shard is stopping")]
    Stopped,
}

impl From<HotError> for ReadError {
    fn from(error: HotError) -> Self {
        match error {
            HotError::Trimmed { first } => Self::Trimmed { first },
            other => Self::Hot(other),
        }
    }
}
