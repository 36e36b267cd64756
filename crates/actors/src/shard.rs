//! A shard on this node: one owner of its appends, many readers of what is committed.

mod actor;
mod dedupe;
mod error;
mod handle;
mod machine;
mod recent;
mod trim;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor as _, ActorCell};
use watershed_cluster::{Group, NoPeers, Replica};
use watershed_hot::Store;
use watershed_schema::{GroupId, NodeId, ShardId};

pub use error::{AppendError, ReadError};
pub use handle::{Appended, Page, ShardHandle};
pub(crate) use handle::{ShardSettings, StagedFiles};

use crate::StartError;
use crate::store::{Disk, GroupStore};

const TRIM_INTERVAL: Duration = Duration::from_secs(1);
const LEADER_DEADLINE: Duration = Duration::from_secs(10);

/// Opens a shard's file, joins its Raft group and starts its actor under `supervisor`.
pub(crate) async fn open(
    id: ShardId,
    data_dir: &Path,
    settings: ShardSettings,
    supervisor: ActorCell,
) -> Result<ShardHandle, StartError> {
    let failed = |reason: String| StartError::Shard { shard: id, reason };
    let path = data_dir.join(format!("shard-{id}.db"));
    let store = Store::open(&path, watershed_hot::Options::default()).map_err(|error| failed(error.to_string()))?;
    let disk = Disk::new(store.clone());
    let committed = Arc::new(machine::Committed::new());
    let group = join_group(id, &store, &disk, &committed).await.map_err(|error| failed(error.to_string()))?;
    let arguments = actor::ShardArguments { id, group: group.clone(), committed: Arc::clone(&committed), settings };
    let (actor, _joined) = actor::ShardActor::spawn_linked(None, actor::ShardActor, arguments, supervisor).await?;
    drop(actor.send_interval(TRIM_INTERVAL, || actor::Message::Trim));
    Ok(ShardHandle { id, actor, group, store, disk, committed })
}

async fn join_group(
    id: ShardId,
    store: &Store,
    disk: &Arc<Disk>,
    committed: &Arc<machine::Committed>,
) -> Result<Group, watershed_cluster::GroupError> {
    let me = NodeId(1);
    let state = Box::new(machine::Machine { committed: Arc::clone(committed), store: store.clone() });
    let (store, transport) = (Arc::new(GroupStore(Arc::clone(disk))), Arc::new(NoPeers));
    let group = Group::open(Replica { group: GroupId::of_shard(id), node: me, store, state, transport }).await?;
    group.bootstrap(&[me]).await?;
    group.wait_leader(LEADER_DEADLINE).await?;
    // Nobody may look before the log is applied: a resume token would be ahead of the tail.
    group.read_index().await?;
    Ok(group)
}

impl ShardHandle {
    /// Ends the actor, then the group; what was acknowledged is on disk already.
    pub(crate) async fn stop(&self) {
        crate::supervisor::join(&self.actor).await;
        if let Err(error) = self.group.shutdown().await {
            tracing::warn!(shard = %self.id, %error, "group did not stop cleanly");
        }
    }
}
