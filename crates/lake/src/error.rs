//! What can go wrong.

use iceberg::ErrorKind;
use watershed_schema::{Epoch, Seq, ShardId, TenantId};

use crate::own::TableNameTooLong;

/// Why the lake did not do it.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The table format, the catalog or the storage failed; for a commit the outcome is unknown.
    #[error("iceberg: {0}")]
    Iceberg(#[from] iceberg::Error),
    /// A data file cannot be read or is no Parquet.
    #[error("parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
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
    /// A letter that cannot be read.
    #[error("dead letter {name}: {reason}")]
    Letter {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Ranges of a shard that are for different tables, in one commit.
    #[error("shard {shard}: ranges of one commit are for different tables")]
    Mixed {
        /// The shard.
        shard: ShardId,
    },
    /// Files are staged for a tenant's own table, and the shared one does not name it.
    #[error("files are staged for a table of tenant {0}, which the shared table does not name")]
    NoTable(TenantId),
    /// A tenant cannot have a table of its own.
    #[error(transparent)]
    TableName(TableNameTooLong),
    /// There is no table of that name.
    #[error("no table {asked}: there are {known}")]
    UnknownTable {
        /// What was asked for.
        asked: String,
        /// Those there are.
        known: String,
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
    /// The table is partitioned otherwise, and its catalog takes no updates of ours.
    #[error("partitioned by {from}: this catalog offers no way to change that to {to}")]
    NotPartitionable {
        /// How it is.
        from: &'static str,
        /// How it should be.
        to: &'static str,
    },
    /// No snapshot of that time or number, or none any more.
    #[error("no snapshot {asked}: {oldest}")]
    NoSnapshot {
        /// What was asked for.
        asked: String,
        /// The oldest there is.
        oldest: String,
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

    /// Whether the catalog has no such table.
    pub(crate) fn is_no_table(&self) -> bool {
        matches!(self, Self::Iceberg(error) if error.kind() == ErrorKind::TableNotFound)
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
            Self::Parquet(_) | Self::Arrow(_) | Self::Watermark(_) | Self::Fenced { .. } | Self::NotContiguous { .. } => false,
            Self::NotArchived { .. } | Self::Letter { .. } | Self::Foreign(_) | Self::Property(_) => false,
            Self::Mixed { .. } | Self::NoTable(_) | Self::TableName(_) | Self::UnknownTable { .. } => false,
            Self::Overtaken | Self::NotCompactable(_) | Self::NotPartitionable { .. } | Self::NoSnapshot { .. } => false,
        }
    }
}
