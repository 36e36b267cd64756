//! The query's port to the hot tier, filled in with the shards of the cluster.

use std::time::Duration;

use async_trait::async_trait;
use watershed_actors::{Node, ReadError, ShardHandle};
use watershed_hot::ScanRequest;
use watershed_query::{HotHead, HotPage, HotRange, HotRequest, HotTier, HotTierError};
use watershed_schema::proto::{BatchHeader, PeerPartial, PeerStates};
use watershed_schema::{Seq, ShardId, TenantId};

/// The shards, wherever they are.
#[derive(Clone)]
pub(crate) struct ClusterShards(pub(crate) Node);

impl std::fmt::Debug for ClusterShards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClusterShards({})", self.0.shards().len())
    }
}

#[async_trait]
impl HotTier for ClusterShards {
    async fn tails(&self, tenant: &TenantId, trace: Option<&str>) -> Result<Vec<HotRange>, HotTierError> {
        let unavailable = |error: ReadError| HotTierError::Unavailable(error.to_string());
        let homes = self.0.fresh_ring().await.map_err(unavailable)?.query_shards(tenant, trace.map(str::as_bytes));
        let tail = async |shard: &ShardHandle| {
            let now = shard.read_index().await.map_err(unavailable)?;
            Ok(HotRange { shard: shard.id(), trimmed: now.trimmed(), to: now.tail() })
        };
        let shards = self.0.shards().iter().filter(|shard| homes.contains(&shard.id()));
        futures::future::try_join_all(shards.map(tail)).await
    }

    async fn page(&self, shard: ShardId, request: &HotRequest) -> Result<HotPage, HotTierError> {
        metrics::counter!("watershed_query_pages_total").increment(1);
        tokio::time::sleep(pause()).await;
        let page = self.shard(shard)?.read(scan(request)).await.map_err(|error| unreadable(shard, error))?;
        Ok(HotPage { blocks: page.blocks, next: page.next })
    }

    async fn heads(&self, shard: ShardId, request: &HotRequest) -> Result<Vec<HotHead>, HotTierError> {
        let heads = self.shard(shard)?.heads(scan(request)).await.map_err(|error| unreadable(shard, error))?;
        let head =
            |(first_seq, header): (Seq, BatchHeader)| HotHead { first_seq, rows: header.rows, event_types: header.event_types };
        Ok(heads.into_iter().map(head).collect())
    }

    fn is_here(&self, shard: ShardId) -> bool {
        self.shard(shard).is_ok_and(ShardHandle::is_here)
    }

    async fn states(&self, shard: ShardId, asked: &PeerPartial) -> Result<PeerStates, HotTierError> {
        self.shard(shard)?.partial(asked).await.map_err(|error| unreadable(shard, error))
    }
}

impl ClusterShards {
    fn shard(&self, shard: ShardId) -> Result<&ShardHandle, HotTierError> {
        let handle = self.0.shards().get(usize::from(shard.0));
        handle.ok_or_else(|| HotTierError::Unavailable(format!("shard {shard} is not here")))
    }
}

/// A test may have each page take its time.
fn pause() -> Duration {
    fail::fail_point!("hot_tier::page", |ms| Duration::from_millis(ms.and_then(|ms| ms.parse().ok()).unwrap_or_default()));
    Duration::ZERO
}

fn scan(request: &HotRequest) -> ScanRequest {
    ScanRequest {
        to_seq_exclusive: request.to_seq_exclusive,
        tenant: Some(request.tenant.clone()),
        min_ts_us: request.from_us,
        max_ts_us: request.to_us.map(|end| end.saturating_sub(1)),
        types: request.event_types,
        keys: request.keys.clone(),
        names: request.names.clone(),
        ..ScanRequest::from(request.from_seq)
    }
}

fn unreadable(shard: ShardId, error: ReadError) -> HotTierError {
    match error {
        ReadError::Trimmed { first } => HotTierError::Trimmed { shard, first },
        ReadError::Refused(reason) => HotTierError::Refused(reason),
        error => HotTierError::Unavailable(error.to_string()),
    }
}
