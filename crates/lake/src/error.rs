//! What can go wrong.

use iceberg::ErrorKind;
use watershed_schema::{Epoch, Seq, ShardId};

/// Why the lake did not do it.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The table format, the catalog or the storage failed; for a commit the outcome is unknown.
    #[error("iceberg: {0}")]
    Iceberg(#[from] iceberg::Error),
    /// Columns do not fit the table.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A row is damaged.
    #[error("row: {0}")]
    Row(#[from] watershed_schema::wire::Malformed),
    /// A watermark could not be read or written as JSON.
    #[error("watermark: {0}")]
    Watermark(#[from] serde_json::Error),
    /// The table knows a newer owner.
    #[error("fenced: epoch {ours} is older than {stored}")]
    Fenced {
        /// Epoch of the request.
        ours: Epoch,
        /// Epoch in the table.
        stored: Epoch,
    },
    /// A range does not start where the shard's archive ends.
    #[error("shard {shard}: range starts at {from}, watermark is {watermark}")]
    NotContiguous {
        /// The shard.
        shard: ShardId,
        /// First sequence number of the range.
        from: Seq,
        /// First sequence number that is not yet in the lake.
        watermark: Seq,
    },
    /// A letter whose run is not below its shard's watermark yet: replayed now, its rows would be read twice.
    #[error("shard {shard}: rows below {to} are not archived yet, watermark is {watermark}")]
    NotArchived {
        /// The shard.
        shard: ShardId,
        /// Behind the last row.
        to: Seq,
        /// First sequence number that is not yet in the lake.
        watermark: Seq,
    },
    /// There is a table of our name that is not like ours.
    #[error("table does not fit: {0}")]
    Foreign(String),
    /// Another commit came before ours: nothing is changed, what was written for it is removed.
    #[error("another commit came first")]
    Overtaken,
    /// A table that cannot be kept in shape, or not by way of this catalog.
    #[error("upkeep: {0}")]
    NotCompactable(String),
    /// A number in the table's properties is no number.
    #[error("table property {0} is malformed")]
    Property(&'static str),
}

impl LakeError {
    /// Whether the same request may succeed later; a commit looks for its id first.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Iceberg(_))
    }

    /// Whether a question may be answered when it is asked again at once.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Iceberg(error) if error.kind() == ErrorKind::Unexpected)
    }

    /// Whether these very rows are the trouble, so that trying again as they are is in vain. Columns that do not fit the
    /// table are no such case: all rows would be refused, and are better kept waiting in the hot tier.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Row(_) => true,
            Self::Iceberg(error) => matches!(error.kind(), ErrorKind::DataInvalid | ErrorKind::FeatureUnsupported),
            Self::Arrow(_) | Self::Watermark(_) | Self::Fenced { .. } | Self::NotContiguous { .. } => false,
            Self::NotArchived { .. } | Self::Foreign(_) | Self::Property(_) => false,
            Self::Overtaken | Self::NotCompactable(_) => false,
        }
    }
}
