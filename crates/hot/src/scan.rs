//! Which batches of the log a reader wants.

use watershed_schema::proto::{BatchHeader, SealedBatch};
use watershed_schema::{KeyFilter, Seq, TenantId};

/// What to read. Batches that cannot match are left out; those that are returned may hold rows that do not.
#[derive(Clone, Debug)]
pub struct ScanRequest {
    /// First event wanted.
    pub from_seq: Seq,
    /// First event not wanted.
    pub to_seq_exclusive: Seq,
    /// Only this tenant's.
    pub tenant: Option<TenantId>,
    /// Only at or after this time, microseconds.
    pub min_ts_us: Option<i64>,
    /// Only at or before this time, microseconds.
    pub max_ts_us: Option<i64>,
    /// Only these event types (bit mask); 0 = all.
    pub types: u32,
    /// Only with one of these trace or session hashes; empty = all.
    pub keys: Vec<u64>,
    /// Only with one of these event-name hashes; empty = all.
    pub names: Vec<u64>,
    /// Stop after so many bytes of payload; at least one entry is read.
    pub bytes_max: usize,
}

impl ScanRequest {
    /// Everything from `from_seq` on, a mebibyte at a time.
    #[must_use]
    pub fn from(from_seq: Seq) -> Self {
        Self {
            from_seq,
            to_seq_exclusive: Seq(u64::MAX),
            tenant: None,
            min_ts_us: None,
            max_ts_us: None,
            types: 0,
            keys: Vec::new(),
            names: Vec::new(),
            bytes_max: 1024 * 1024,
        }
    }

    /// Whether a batch with this header may hold a wanted event.
    #[must_use]
    pub fn may_match(&self, header: &BatchHeader) -> bool {
        let tenant = self.tenant.as_ref().is_none_or(|tenant| tenant.as_str() == header.tenant);
        let types = self.types == 0 || self.types & header.event_types != 0;
        let late_enough = self.min_ts_us.is_none_or(|min| header.max_timestamp_us >= min);
        let early_enough = self.max_ts_us.is_none_or(|max| header.min_timestamp_us <= max);
        tenant && types && late_enough && early_enough && self.may_hold(&header.filter)
    }

    fn may_hold(&self, filter: &[u8]) -> bool {
        if self.keys.is_empty() && self.names.is_empty() {
            return true;
        }
        let filter = KeyFilter::open(filter);
        let any = |wanted: &[u64]| wanted.is_empty() || wanted.iter().any(|key| filter.may_hold(*key));
        any(&self.keys) && any(&self.names)
    }
}

/// A batch and the number of its first event.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Number of the batch's first event; may be below what was asked for.
    pub first_seq: Seq,
    /// Still compressed.
    pub batch: SealedBatch,
}

/// One step of a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanPage {
    /// Batches that may match, in order.
    pub blocks: Vec<Block>,
    /// Where to go on; nothing wanted lies between the last block and here.
    pub next_seq: Seq,
}
