//! The query's port to the hot tier, filled in with this node's shards.

use async_trait::async_trait;
use watershed_actors::{Node, ReadError, ShardHandle};
use watershed_hot::ScanRequest;
use watershed_query::{HotPage, HotRange, HotRequest, HotTier, HotTierError};
use watershed_schema::{ShardId, TenantId};

/// The shards of this node.
#[derive(Clone)]
pub(crate) struct LocalShards(pub(crate) Node);

impl std::fmt::Debug for LocalShards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalShards({})", self.0.shards().len())
    }
}

#[async_trait]
impl HotTier for LocalShards {
    async fn tails(&self, tenant: &TenantId, trace: Option<&str>) -> Result<Vec<HotRange>, HotTierError> {
        let homes = self.0.ring().query_shards(tenant, trace.map(str::as_bytes));
        let tail = async |shard: &ShardHandle| {
            let to = shard.read_index().await.map_err(|error| HotTierError::Unavailable(error.to_string()))?;
            Ok(HotRange { shard: shard.id(), trimmed: shard.positions().trimmed(), to })
        };
        let shards = self.0.shards().iter().filter(|shard| homes.contains(&shard.id()));
        futures::future::try_join_all(shards.map(tail)).await
    }

    async fn page(&self, shard: ShardId, request: &HotRequest) -> Result<HotPage, HotTierError> {
        let handle = self.0.shards().get(usize::from(shard.0));
        let handle = handle.ok_or_else(|| HotTierError::Unavailable(format!("shard {shard} is not here")))?;
        let scan = ScanRequest {
            to_seq_exclusive: request.to_seq_exclusive,
            tenant: Some(request.tenant.clone()),
            min_ts_us: request.from_us,
            max_ts_us: request.to_us.map(|end| end.saturating_sub(1)),
            types: request.event_types,
            keys: request.keys.clone(),
            names: request.names.clone(),
            ..ScanRequest::from(request.from_seq)
        };
        match handle.read(scan).await {
            Ok(page) => Ok(HotPage { blocks: page.blocks, next: page.next }),
            Err(ReadError::Trimmed { first }) => Err(HotTierError::Trimmed { shard, first }),
            Err(error) => Err(HotTierError::Unavailable(error.to_string())),
        }
    }
}
