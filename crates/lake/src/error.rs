//! What can go wrong.

use watershed_schema::{Epoch, Seq, ShardId};

/// Why the lake did not do it.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The table format, the catalog or the storage failed; for a commit the outcome is unknown.
    #[error("iceberg: {0}")]
    Iceberg(#[from] iceberg::Error),
    /// Columns could not be sorted or converted.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
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
}
