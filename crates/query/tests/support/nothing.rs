//! A hot tier in which everything is archived.

use async_trait::async_trait;
use watershed_query::{HotHead, HotPage, HotRange, HotRequest, HotTier, HotTierError};
use watershed_schema::proto::{PeerPartial, PeerStates};
use watershed_schema::{ShardId, TenantId};

/// Everything is archived.
#[derive(Debug)]
pub(crate) struct Nothing;

#[async_trait]
impl HotTier for Nothing {
    async fn tails(&self, _: &TenantId, _: Option<&str>) -> Result<Vec<HotRange>, HotTierError> {
        Ok(Vec::new())
    }

    async fn page(&self, _: ShardId, request: &HotRequest) -> Result<HotPage, HotTierError> {
        Ok(HotPage { blocks: Vec::new(), next: request.to_seq_exclusive })
    }

    async fn heads(&self, _: ShardId, _: &HotRequest) -> Result<Vec<HotHead>, HotTierError> {
        Ok(Vec::new())
    }

    fn is_here(&self, _: ShardId) -> bool {
        true
    }

    async fn states(&self, _: ShardId, _: &PeerPartial) -> Result<PeerStates, HotTierError> {
        unreachable!("everything is here")
    }
}
