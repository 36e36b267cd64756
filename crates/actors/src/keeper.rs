//! Opens the replicas that the control group gives to this node, and deletes those that it takes away.

use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use watershed_cluster::ControlView;
use watershed_schema::ShardId;

use crate::StartError;
use crate::control::ControlHandle;
use crate::shard::Opening;

const TICK: Duration = Duration::from_millis(50);

pub(crate) enum Message {
    Tick,
}

impl ractor::Message for Message {}

/// Keeps this node's replicas as the control group wants them.
#[derive(Clone)]
pub(crate) struct Keeper {
    pub(crate) opening: Opening,
    pub(crate) control: ControlHandle,
}

struct KeeperActor;

impl Keeper {
    /// Starts it under `supervisor`.
    pub(crate) async fn start(self, supervisor: ActorCell) -> Result<ActorRef<Message>, ractor::SpawnErr> {
        Ok(KeeperActor::spawn_linked(None, KeeperActor, self, supervisor).await?.0)
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

impl Actor for KeeperActor {
    type Msg = Message;
    type State = Keeper;
    type Arguments = Keeper;

    async fn pre_start(&self, myself: ActorRef<Message>, keeper: Keeper) -> Result<Keeper, ActorProcessingErr> {
        drop(myself.send_interval(TICK, || Message::Tick));
        Ok(keeper)
    }

    async fn handle(&self, _: ActorRef<Message>, Message::Tick: Message, keeper: &mut Keeper) -> Result<(), ActorProcessingErr> {
        keeper.open().await?;
        keeper.close().await?;
        Ok(())
    }
}
