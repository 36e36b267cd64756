//! What every transformer is given and what it returns.

use watershed_schema::wire::Malformed;
use watershed_schema::{BatchError, EventBatch, TenantId};

/// What is known of a request beside its bytes.
#[derive(Clone, Debug)]
pub struct Context {
    /// Owner, from the credential.
    pub tenant: TenantId,
    /// When the request arrived, microseconds.
    pub received_at_us: i64,
    /// Names the request in `batch_id`.
    pub batch_id: String,
}

/// Why a record is not taken: its field and the reason.
pub(crate) type Fault = (&'static str, String);

/// A record that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Ordinal of the record in the request.
    pub index: u64,
    /// Field that is wrong.
    pub field: &'static str,
    /// What is wrong with it, with the limit if there is one.
    pub reason: String,
}

/// Records that were not taken: all are counted, the first are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejects {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Reject>,
}

impl Rejects {
    /// Most rejects that are told one by one.
    pub const TOLD_MAX: usize = 10;

    pub(crate) fn add(&mut self, reject: Reject) {
        self.count += 1;
        if self.first.len() < Self::TOLD_MAX {
            self.first.push(reject);
        }
    }

    /// The first reasons as one line, for a `partial_success` message.
    #[must_use]
    pub fn summary(&self) -> String {
        let told = self.first.iter().map(|reject| format!("record {}: {}: {}", reject.index, reject.field, reject.reason));
        told.collect::<Vec<_>>().join("; ")
    }
}

/// A request as events.
#[derive(Clone, Debug)]
pub struct Transformed {
    /// The good records; `None` when there are none.
    pub batch: Option<EventBatch>,
    /// The others.
    pub rejects: Rejects,
    /// Attributes beyond the limit of a record, not kept.
    pub dropped_attributes: u64,
}

/// Nothing of the request can be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// Not what its content type says.
    #[error("request is not decodable: {0}")]
    Undecodable(String),
    /// More than the endpoint takes.
    #[error("request has {has} bytes, limit {max}")]
    TooManyBytes {
        /// Its bytes.
        has: usize,
        /// The limit.
        max: usize,
    },
    /// Too many records or bytes.
    #[error(transparent)]
    Limit(#[from] BatchError),
}

impl From<Malformed> for InvalidRequest {
    fn from(malformed: Malformed) -> Self {
        Self::Undecodable(malformed.to_string())
    }
}
