//! This node's replica of the control group: what the cluster is, and changes of it.

mod controller;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::watch;
use watershed_cluster::{Control, ControlView, Group, GroupError};
use watershed_hot::Store;
use watershed_schema::proto::control_command::Command;
use watershed_schema::proto::{ControlCommand, JoinNode, NodeState, SpreadTenant};
use watershed_schema::{EntryKind, Epoch, GroupId, Lsn, NodeId, ShardId, TenantId};

use crate::route::Route;
use crate::shard::{Opening, propose};
use crate::store::Disk;
use crate::{Ask, StartError};

pub(crate) use controller::{Controller, seen};

const FOUND_DEADLINE: Duration = Duration::from_secs(10);
const FRESH_DEADLINE: Duration = Duration::from_secs(5);
/// Between two tries to tell the cluster something.
const TELL_AGAIN: Duration = Duration::from_millis(200);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The control group from this node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ControlHandle {
    route: Route,
    group: Group,
    view: watch::Receiver<Arc<ControlView>>,
}

impl ControlHandle {
    /// Opens the replica. `is_founder`: the cluster is this node, until others join.
    pub(crate) async fn open(opening: &Opening, is_founder: bool) -> Result<Self, StartError> {
        let failed = |error: &dyn std::fmt::Display| StartError::Control(error.to_string());
        let path = opening.data_dir.join("control.db");
        let store = Store::open(&path, watershed_hot::Options::default()).map_err(|error| failed(&error))?;
        let (control, view) = Control::new();
        let disk = Disk::new(store);
        let group = opening.group(GroupId::CONTROL, &disk, Box::new(control), is_founder).await;
        let route = Route::new(GroupId::CONTROL, opening.gateway.clone(), Arc::clone(&opening.peers), None);
        Ok(Self { route, group: group.map_err(|error| failed(&error))?, view })
    }

    /// Follows the cluster.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<ControlView>> {
        self.view.clone()
    }

    /// The cluster, as it stands.
    pub(crate) fn view(&self) -> Arc<ControlView> {
        Arc::clone(&self.view.borrow())
    }

    /// Waits until the cluster is as wanted.
    pub(crate) async fn wait_for(&self, wanted: impl FnMut(&Arc<ControlView>) -> bool) -> Option<Arc<ControlView>> {
        self.view.clone().wait_for(wanted).await.ok().map(|view| Arc::clone(&view))
    }

    /// The cluster with everything that was decided before now.
    pub(crate) async fn fresh(&self) -> Result<Arc<ControlView>, GroupError> {
        let end = Instant::now() + FRESH_DEADLINE;
        let wanted =
            if self.is_leader() { self.group.read_index().await.map(|()| None)? } else { Some(self.leaders_index().await?) };
        while self.group.status().applied < wanted {
            if Instant::now() > end {
                return Err(GroupError::NoLeader(FRESH_DEADLINE));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(self.view())
    }

    async fn leaders_index(&self) -> Result<Lsn, GroupError> {
        let nobody = || GroupError::NotLeader { leader: None };
        let attempt = |leader, left| async move {
            let asked = self.route.ask(leader, Ask::ReadIndex, Bytes::new(), left).await;
            let positions = asked.map_err(|_elsewhere| nobody())?.positions.unwrap_or_default();
            Ok(Lsn(positions.tail_seq))
        };
        self.route.until_led(FRESH_DEADLINE, nobody, attempt, |_| true).await
    }

    /// Says where this node is, unless the cluster knows it, as soon as there is a leader.
    pub(crate) fn tell_move(&self, me: NodeId, who: JoinNode) {
        let known =
            |view: &ControlView| view.nodes.get(&me).is_some_and(|node| node.address == who.address && node.zone == who.zone);
        if known(&self.view()) {
            return;
        }
        let control = self.clone();
        tokio::spawn(async move {
            while let Err(error) = control.propose(Command::Join(who.clone())).await {
                tracing::info!(%error, "the cluster does not know yet where this node is");
                tokio::time::sleep(TELL_AGAIN).await;
            }
        });
    }

    /// Has tenants spread over all shards; returns when the log says so.
    pub(crate) async fn spread(&self, tenants: &[TenantId]) -> Result<(), StartError> {
        for tenant in tenants.iter().filter(|tenant| !self.view().spread.contains(*tenant)) {
            let command = Command::Spread(SpreadTenant { tenant: tenant.as_str().to_owned() });
            while let Err(error) = self.propose(command.clone()).await {
                tracing::info!(%tenant, %error, "waiting for the control group");
                tokio::time::sleep(TELL_AGAIN).await;
            }
        }
        let all = self.wait_for(|view| tenants.iter().all(|tenant| view.spread.contains(tenant))).await;
        all.map(drop).ok_or_else(|| StartError::Control("the replica stopped".to_owned()))
    }

    /// Puts a command into the log, on the leader; the node that it was about, `None` when it was refused.
    pub(crate) async fn propose(&self, command: Command) -> Result<Option<NodeId>, GroupError> {
        let payload = Bytes::from(ControlCommand { command: Some(command) }.encode_to_vec());
        Ok(Control::answered(&propose(&self.route, EntryKind::Control, payload).await?))
    }

    pub(crate) fn route(&self) -> &Route {
        &self.route
    }

    pub(crate) fn group(&self) -> &Group {
        &self.group
    }

    /// Whether a node answers now.
    pub(crate) fn is_reachable(&self, node: NodeId) -> bool {
        node == self.route.me || self.route.peers.is_connected(node)
    }

    /// Says where the other nodes are.
    pub(crate) async fn tell_peers(&self) {
        self.route.peers.set_members(self.others()).await;
    }

    /// Whether nobody else votes.
    pub(crate) fn is_alone(&self) -> bool {
        self.group.status().voters.iter().all(|voter| *voter == self.route.me)
    }

    /// Founds the cluster unless it was founded before.
    pub(crate) async fn found(&self, found: Command) -> Result<(), StartError> {
        let failed = |error: GroupError| StartError::Control(error.to_string());
        self.group.wait_leader(FOUND_DEADLINE).await.map_err(failed)?;
        self.group.read_index().await.map_err(failed)?;
        if self.view().cluster_id.is_empty() {
            self.propose(found).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Whether this node appoints: archives commit here, and the controller works here.
    pub(crate) fn is_leader(&self) -> bool {
        self.route.is_leader()
    }

    /// This node, and who appoints, as far as is known here.
    pub(crate) fn me_and_leader(&self) -> (NodeId, Option<NodeId>) {
        (self.route.me, self.route.leader())
    }

    /// Fences older committers: the term of the control group.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.group.term().0)
    }

    /// Where the other nodes are; `None` for those that were removed.
    pub(crate) fn others(&self) -> BTreeMap<NodeId, Option<String>> {
        let view = self.view();
        let others = view.nodes.iter().filter(|(id, _)| **id != self.route.me);
        others.map(|(id, node)| (*id, (node.state != NodeState::Removed).then(|| node.address.clone()))).collect()
    }

    /// Whether a shard stands on this node alone, as it does until others join. The view alone does not say so: at the
    /// beginning of its log everything stands on the founder, and a group that others have taken over is not founded again.
    pub(crate) fn holds_alone(&self, shard: ShardId) -> bool {
        self.is_alone() && self.view().replicas_of(shard) == [self.route.me]
    }

    pub(crate) async fn stop(&self) {
        if let Err(error) = self.group.shutdown().await {
            tracing::warn!(%error, "the control group did not stop cleanly");
        }
    }
}
