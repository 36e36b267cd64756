//! Why a query is refused or fails.

use datafusion::error::DataFusionError;
use watershed_lake::LakeError;

use crate::HotTierError;

/// Everything a caller can be told about a failed query.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Not SQL, or SQL that names what does not exist.
    #[error("invalid SQL: {message}")]
    InvalidSql {
        /// What is wrong.
        message: String,
    },
    /// SQL that is understood and not allowed.
    #[error("refused: {what}; only one SELECT, WITH, EXPLAIN or DESCRIBE is allowed")]
    Refused {
        /// The offending part.
        what: &'static str,
    },
    /// A question of analytics that cannot be asked like this.
    #[error("{field}: {message}")]
    InvalidSpec {
        /// The field of the request.
        field: String,
        /// What is wrong, with the limit.
        message: String,
    },
    /// It took too long.
    #[error("the query took longer than {ms} ms")]
    Deadline {
        /// The limit.
        ms: u128,
    },
    /// The result is too long; ask for less.
    #[error("the result has more than {limit} rows: add a LIMIT or an aggregate")]
    TooManyRows {
        /// The limit.
        limit: u64,
    },
    /// It needs too much memory.
    #[error("the query needs more memory than {limit} bytes: {message}")]
    Memory {
        /// The limit.
        limit: usize,
        /// Who wanted it.
        message: String,
    },
    /// A live query's open windows hold too much.
    #[error("the live query has more than {limit} {what} open: group by less, or ask for shorter or fewer windows")]
    LiveLimit {
        /// Windows or groups.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The hot tier.
    #[error(transparent)]
    Hot(#[from] HotTierError),
    /// The lake.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A fault of ours.
    #[error("query failed: {0}")]
    Internal(String),
}

/// What a face makes of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The query is wrong.
    InvalidArgument,
    /// The query is too big.
    ResourceExhausted,
    /// The query is too slow.
    DeadlineExceeded,
    /// Come again.
    Unavailable,
    /// A fault of ours.
    Internal,
}

impl QueryError {
    /// What a face makes of it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidSql { .. } | Self::Refused { .. } | Self::InvalidSpec { .. } => ErrorKind::InvalidArgument,
            Self::TooManyRows { .. } | Self::Memory { .. } | Self::LiveLimit { .. } => ErrorKind::ResourceExhausted,
            Self::Deadline { .. } => ErrorKind::DeadlineExceeded,
            Self::Hot(_) | Self::Lake(_) => ErrorKind::Unavailable,
            Self::Internal(_) => ErrorKind::Internal,
        }
    }

    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidSpec { field: field.into(), message: message.into() }
    }

    /// Whether planning again against a newer snapshot helps.
    pub(crate) fn is_trimmed(&self) -> bool {
        matches!(self, Self::Hot(HotTierError::Trimmed { .. }))
    }

    pub(crate) fn of(error: DataFusionError, memory_bytes: usize) -> Self {
        let message = error.strip_backtrace();
        match error.find_root() {
            DataFusionError::External(inner) => match inner.downcast_ref::<HotTierError>() {
                Some(hot) => Self::Hot(hot.clone()),
                None => Self::Internal(message),
            },
            DataFusionError::ResourcesExhausted(_) => Self::Memory { limit: memory_bytes, message },
            DataFusionError::SQL(..)
            | DataFusionError::Plan(_)
            | DataFusionError::SchemaError(..)
            | DataFusionError::NotImplemented(_)
            | DataFusionError::Configuration(_)
            | DataFusionError::Execution(_)
            | DataFusionError::ArrowError(..) => Self::InvalidSql { message },
            _ => Self::Internal(message),
        }
    }
}
