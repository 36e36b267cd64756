//! What other nodes have aggregated here, filled in with the query engine.

use async_trait::async_trait;
use tokio::sync::Semaphore;
use watershed_actors::{Aggregates, ReadError};
use watershed_query::{Engine, HotTierError, QueryError};
use watershed_schema::ShardId;
use watershed_schema::proto::{PeerPartial, PeerStates};

/// Slices of shards, a few at a time: each is a core's work and may use the memory of a query.
pub(crate) struct Slices {
    engine: Engine,
    at_once: Semaphore,
}

impl Slices {
    pub(crate) fn new(engine: Engine) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { engine, at_once: Semaphore::new(cores) }
    }
}

#[async_trait]
impl Aggregates for Slices {
    async fn states(&self, shard: ShardId, asked: PeerPartial) -> Result<PeerStates, ReadError> {
        let _permit = self.at_once.acquire().await.map_err(|_closed| ReadError::Stopped)?;
        self.engine.states(shard, &asked).await.map_err(|error| match error {
            QueryError::Hot(HotTierError::Trimmed { first, .. }) => ReadError::Trimmed { first },
            QueryError::Hot(HotTierError::Unavailable(reason)) => ReadError::NoLeader(reason),
            error => ReadError::Refused(error.to_string()),
        })
    }
}
