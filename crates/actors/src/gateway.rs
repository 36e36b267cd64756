//! The replicas of this node, found by those who ask: this node's own handles, and other nodes.

mod answer;
mod refusal;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use watershed_cluster::Group;
use watershed_schema::{GroupId, NodeId, ShardId};

use crate::archive::ArchiverHandle;
use crate::control::ControlHandle;
use crate::shard::Replica;
use crate::{Aggregates, Backlog, Budget};

/// Everything that stands on this node. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    me: NodeId,
    budget: Budget,
    backlog: Backlog,
    here: RwLock<Here>,
}

#[derive(Default)]
struct Here {
    groups: BTreeMap<GroupId, Group>,
    replicas: BTreeMap<ShardId, Replica>,
    control: Option<ControlHandle>,
    archiver: Option<Arc<ArchiverHandle>>,
    aggregates: Option<Arc<dyn Aggregates>>,
}

impl Gateway {
    /// Nothing is here yet; appends of others count against `budget`, what is committed here against `backlog`.
    #[must_use]
    pub fn new(me: NodeId, budget: Budget, backlog: Backlog) -> Self {
        Self { inner: Arc::new(Inner { me, budget, backlog, here: RwLock::default() }) }
    }

    pub(crate) fn me(&self) -> NodeId {
        self.inner.me
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.inner.budget
    }

    pub(crate) fn backlog(&self) -> &Backlog {
        &self.inner.backlog
    }

    fn here(&self) -> RwLockReadGuard<'_, Here> {
        self.inner.here.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Here> {
        self.inner.here.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn open_group(&self, id: GroupId, group: Group) {
        self.change().groups.insert(id, group);
    }

    pub(crate) fn open_replica(&self, replica: Replica) {
        self.change().replicas.insert(replica.id(), replica);
    }

    /// From now on this node takes others in.
    pub(crate) fn open_door(&self, control: ControlHandle) {
        self.change().control = Some(control);
    }

    /// From now on others may ask for what concerns the lake.
    pub(crate) fn open_lake(&self, archiver: Arc<ArchiverHandle>) {
        self.change().archiver = Some(archiver);
    }

    /// From now on others may have events aggregated here.
    pub(crate) fn open_aggregates(&self, aggregates: Arc<dyn Aggregates>) {
        self.change().aggregates = Some(aggregates);
    }

    /// From now on nobody finds the replica.
    pub(crate) fn close_replica(&self, shard: ShardId) -> Option<Replica> {
        let mut here = self.change();
        here.groups.remove(&GroupId::of_shard(shard));
        here.replicas.remove(&shard)
    }

    /// From now on this node takes nobody in. The handle on the cluster holds on to the gateway: both would stay for ever.
    pub(crate) fn close_door(&self) {
        let mut here = self.change();
        (here.control, here.archiver, here.aggregates) = (None, None, None);
    }

    pub(crate) fn group(&self, id: GroupId) -> Option<Group> {
        self.here().groups.get(&id).cloned()
    }

    pub(crate) fn replica(&self, shard: ShardId) -> Option<Replica> {
        self.here().replicas.get(&shard).cloned()
    }

    /// By shard.
    pub(crate) fn replicas(&self) -> Vec<Replica> {
        self.here().replicas.values().cloned().collect()
    }

    fn archiver(&self) -> Option<Arc<ArchiverHandle>> {
        self.here().archiver.clone()
    }

    fn aggregates(&self) -> Option<Arc<dyn Aggregates>> {
        self.here().aggregates.clone()
    }

    fn control(&self) -> Option<ControlHandle> {
        self.here().control.clone()
    }
}
