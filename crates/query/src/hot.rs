//! The port to the hot tier; `node` fills it in.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use watershed_schema::proto::{PeerPartial, PeerStates};
use watershed_schema::{EventBatch, Seq, ShardId, TenantId};

/// Committed events of the hot tier.
#[async_trait]
pub trait HotTier: Send + Sync + Debug {
    /// Where each shard stands that may hold rows of `tenant` (of one trace, if named), after a read index: everything
    /// acknowledged before this call is below `to`.
    async fn tails(&self, tenant: &TenantId, trace: Option<&str>) -> Result<Vec<HotRange>, HotTierError>;

    /// Committed events from `request.from_seq` on. Blocks are the tenant's alone; they may begin before `from_seq`
    /// and hold rows that do not match.
    async fn page(&self, shard: ShardId, request: &HotRequest) -> Result<HotPage, HotTierError>;

    /// What the headers of those batches say, all at once and without opening one.
    async fn heads(&self, shard: ShardId, request: &HotRequest) -> Result<Vec<HotHead>, HotTierError>;

    /// Whether a shard's events are read on this node.
    fn is_here(&self, shard: ShardId) -> bool;

    /// What [`crate::Engine::states`] says on the node that has the events.
    async fn states(&self, shard: ShardId, asked: &PeerPartial) -> Result<PeerStates, HotTierError>;
}

/// What is known of a batch without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotHead {
    /// Number of its first event; may lie before what was asked for.
    pub first_seq: Seq,
    /// Its events.
    pub rows: u32,
    /// Their types, a bit mask.
    pub event_types: u32,
}

/// What a shard has in its hot tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotRange {
    /// The shard.
    pub shard: ShardId,
    /// First event still there.
    pub trimmed: Seq,
    /// Behind the last.
    pub to: Seq,
}

/// What is wanted of a shard; conditions other than tenant and sequence may be ignored.
#[derive(Clone, Debug)]
pub struct HotRequest {
    /// Owner.
    pub tenant: TenantId,
    /// First event.
    pub from_seq: Seq,
    /// Behind the last.
    pub to_seq_exclusive: Seq,
    /// Only at or after, microseconds.
    pub from_us: Option<i64>,
    /// Only before, microseconds.
    pub to_us: Option<i64>,
    /// Event types as a bit mask; 0 = all.
    pub event_types: u32,
    /// Hashes of trace or session ids, any of; empty = all.
    pub keys: Vec<u64>,
    /// Hashes of event names, any of; empty = all.
    pub names: Vec<u64>,
}

impl HotRequest {
    /// All of a tenant's events `[from_seq, to_seq_exclusive)`.
    #[must_use]
    pub fn all(tenant: &TenantId, from_seq: Seq, to_seq_exclusive: Seq) -> Self {
        Self {
            tenant: tenant.clone(),
            from_seq,
            to_seq_exclusive,
            from_us: None,
            to_us: None,
            event_types: 0,
            keys: Vec::new(),
            names: Vec::new(),
        }
    }
}

/// One step of a scan.
#[derive(Clone, Debug)]
pub struct HotPage {
    /// Batches with the number of their first event.
    pub blocks: Vec<(Seq, Arc<EventBatch>)>,
    /// Where to go on.
    pub next: Seq,
}

/// Why the hot tier cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HotTierError {
    /// These events moved to the lake meanwhile.
    #[error("events of shard {shard} below {first} are trimmed")]
    Trimmed {
        /// The shard.
        shard: ShardId,
        /// First event still there.
        first: Seq,
    },
    /// The node that has the events does not aggregate them; reading them may work.
    #[error("refused: {0}")]
    Refused(String),
    /// Not now.
    #[error("hot tier: {0}")]
    Unavailable(String),
}
