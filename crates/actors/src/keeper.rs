//! Opens the replicas that the control group gives to this node, and deletes those that it takes away.

use std::sync::Arc;
use std::time::Duration;

use ractor::ActorProcessingErr;
use watershed_cluster::ControlView;
use watershed_schema::ShardId;

use crate::StartError;
use crate::control::ControlHandle;
use crate::shard::Opening;
use crate::tick::Tick;

/// Keeps this node's replicas as the control group wants them.
pub(crate) struct Keeper {
    pub(crate) opening: Opening,
    pub(crate) control: ControlHandle,
    /// The cluster as it was when nothing was left to do: the same one needs no second look.
    settled: Option<Arc<ControlView>>,
}

impl Keeper {
    pub(crate) fn new(opening: Opening, control: ControlHandle) -> Self {
        Self { opening, control, settled: None }
    }

    /// Opens what is missing.
    pub(crate) async fn open(&self) -> Result<(), StartError> {
        let (view, me) = (self.control.view(), self.opening.me);
        let missing = view.shards_of(me).filter(|shard| self.opening.gateway.replica(*shard).is_none());
        for shard in missing.collect::<Vec<_>>() {
            self.opening.shard(shard, self.control.holds_alone(shard)).await?;
        }
        Ok(())
    }

    /// Deletes what is elsewhere for sure: the log of a node that has just started may be read only in part.
    async fn close(&self) -> std::io::Result<()> {
        if self.surplus(&self.control.view()).is_empty() {
            return Ok(());
        }
        let Ok(view) = self.control.fresh().await else { return Ok(()) };
        for shard in self.surplus(&view) {
            tracing::info!(%shard, "this node holds no replica any more");
            self.opening.drop_shard(shard).await?;
        }
        Ok(())
    }

    fn surplus(&self, view: &ControlView) -> Vec<ShardId> {
        let replicas = self.opening.gateway.replicas();
        let elsewhere = replicas.iter().filter(|replica| !view.replicas_of(replica.id()).contains(&self.opening.me));
        elsewhere.map(|replica| replica.id()).collect()
    }
}

impl Tick for Keeper {
    const EVERY: Duration = Duration::from_millis(50);

    async fn tick(&mut self) -> Result<(), ActorProcessingErr> {
        let view = self.control.view();
        if self.settled.as_ref().is_some_and(|settled| Arc::ptr_eq(settled, &view)) {
            return Ok(());
        }
        self.open().await?;
        self.close().await?;
        let is_done = self.surplus(&view).is_empty();
        self.settled = is_done.then_some(view);
        Ok(())
    }
}
