//! Shards: handles on all of them, and the replicas that stand on this node.

mod actor;
mod ages;
mod dedupe;
mod error;
mod handle;
mod machine;
mod mirror;
mod recent;
mod replica;
mod trim;
pub(crate) mod wire;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor as _, ActorCell};
use watershed_cluster::{Call, Group, GroupError, Pulse, Replica as GroupReplica, StateMachine, Transport, TransportError};
use watershed_hot::Store;
use watershed_schema::{GroupId, NodeId, ShardId};

pub use error::{AppendError, ReadError};
pub use handle::{Appended, Page, ShardHandle};
pub(crate) use handle::{ShardSettings, StagedFiles, propose};
pub use replica::Replica;

use crate::store::{Disk, GroupStore};
use crate::{Gateway, Peers, StartError};

const TRIM_INTERVAL: Duration = Duration::from_secs(1);

/// Where replicas are opened, and for whom. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Opening {
    pub(crate) me: NodeId,
    pub(crate) data_dir: Arc<Path>,
    pub(crate) settings: ShardSettings,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) gateway: Gateway,
    pub(crate) supervisor: ActorCell,
    pub(crate) pulse: Pulse,
}

impl Opening {
    fn file(&self, id: ShardId) -> PathBuf {
        self.data_dir.join(format!("shard-{id}.db"))
    }

    /// Opens a shard's file, joins its Raft group and starts its actor. `is_founder`: this node holds it alone.
    pub(crate) async fn shard(&self, id: ShardId, is_founder: bool) -> Result<(), StartError> {
        let failed = |reason: String| StartError::Shard { shard: id, reason };
        let store = Store::open(&self.file(id), watershed_hot::Options::default()).map_err(|error| failed(error.to_string()))?;
        let (disk, committed) = (Disk::new(store.clone()), Arc::new(machine::Committed::new(self.gateway.backlog().clone())));
        let state = Box::new(machine::Machine { committed: Arc::clone(&committed), store: store.clone() });
        let group =
            self.group(GroupId::of_shard(id), &disk, state, is_founder).await.map_err(|error| failed(error.to_string()))?;
        let arguments = actor::ShardArguments {
            id,
            me: self.me,
            group: group.clone(),
            committed: Arc::clone(&committed),
            settings: self.settings,
        };
        let (actor, _joined) =
            actor::ShardActor::spawn_linked(None, actor::ShardActor, arguments, self.supervisor.clone()).await?;
        drop(actor.send_interval(TRIM_INTERVAL, || actor::Message::Trim));
        let backlog = self.gateway.backlog().clone();
        self.gateway.open_replica(Replica { id, me: self.me, actor, group, store, disk, committed, backlog });
        Ok(())
    }

    /// Ends a replica and deletes its file: its events are elsewhere.
    pub(crate) async fn drop_shard(&self, id: ShardId) -> std::io::Result<()> {
        let Some(replica) = self.gateway.close_replica(id) else { return Ok(()) };
        replica.stop().await;
        drop(replica);
        let file = self.file(id);
        // The main file last: what is left of a crash in between is deleted at the next try.
        for beside in ["-wal", "-shm", ""] {
            let path = PathBuf::from(format!("{}{beside}", file.display()));
            if let Err(error) = std::fs::remove_file(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Opens this node's replica of a group and lets others find it.
    pub(crate) async fn group(
        &self,
        id: GroupId,
        disk: &Arc<Disk>,
        state: Box<dyn StateMachine>,
        is_founder: bool,
    ) -> Result<Group, GroupError> {
        let store = Arc::new(GroupStore(Arc::clone(disk)));
        let transport: Arc<dyn Transport> = Arc::new(ByPeers(Arc::clone(&self.peers)));
        let pulse = self.pulse.clone();
        let group = Group::open(GroupReplica { group: id, node: self.me, store, state, transport, pulse }).await?;
        self.gateway.open_group(id, group.clone());
        // A founder that others have joined since waits for an election like them.
        if is_founder && group.status().voters.iter().all(|voter| *voter == self.me) {
            group.bootstrap(&[self.me]).await?;
        }
        Ok(group)
    }
}

/// Raft's calls over the same way as ours.
struct ByPeers(Arc<dyn Peers>);

#[async_trait::async_trait]
impl Transport for ByPeers {
    async fn call(&self, to: NodeId, call: Call) -> Result<bytes::Bytes, TransportError> {
        self.0.call(to, call).await
    }
}
