//! What can be done to the groups of the cluster from any node, by the controller and by people.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use prost::Message as _;
use watershed_cluster::{GroupError, Node, next_step};
use watershed_schema::proto::control_command::Command;
use watershed_schema::proto::{NodeState, NodeStatus, PeerTransfer, PeerVoters, ReplicaStatus, SetNodeState};
use watershed_schema::{GroupId, NodeId};

use crate::control::{ControlHandle, seen};
use crate::route::Route;
use crate::shard::ShardHandle;
use crate::{Ask, members, status};

const CHANGE_DEADLINE: Duration = Duration::from_secs(30);
/// A node may be drained while the cluster elects a leader.
const STATE_DEADLINE: Duration = Duration::from_secs(5);
const STATUS_DEADLINE: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Clone)]
pub struct Operator {
    control: ControlHandle,
    shards: Vec<ShardHandle>,
}

impl Operator {
    pub(crate) fn new(control: ControlHandle, shards: Vec<ShardHandle>) -> Self {
        Self { control, shards }
    }

    fn route(&self, group: GroupId) -> Option<&Route> {
        match group.shard() {
            None => Some(self.control.route()),
            Some(shard) => self.shards.get(usize::from(shard.0)).map(ShardHandle::route),
        }
    }

    /// Every replica, as its node sees it; those of nodes that do not answer are missing.
    pub async fn replicas(&self) -> Vec<ReplicaStatus> {
        let route = self.control.route();
        let ask = async |node: NodeId| {
            let asked = route.asked(node, Ask::Replicas, Bytes::new(), STATUS_DEADLINE).await;
            asked.map(|answer| answer.replicas).unwrap_or_default()
        };
        let others = self.control.others().into_iter().filter(|(node, _)| self.control.is_reachable(*node));
        let told = join_all(others.map(|(node, _)| ask(node))).await;
        status::replicas(&route.gateway).into_iter().chain(told.into_iter().flatten()).collect()
    }

    /// Every node that ever was.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeStatus> {
        let controller = self.control.route().leader();
        let view = self.control.view();
        let voters = self.control.route().group().map(|group| group.status().voters).unwrap_or_default();
        let holds = |id: &NodeId| view.shards.iter().filter(|nodes| nodes.contains(id)).count();
        let status = |(id, node): (&NodeId, &Node)| NodeStatus {
            node: id.0,
            address: node.address.clone(),
            zone: node.zone.clone(),
            state: word(node.state).to_owned(),
            reachable: self.control.is_reachable(*id),
            controller: controller == Some(*id),
            shards: u32::try_from(holds(id)).unwrap_or(u32::MAX),
            votes_in_control: voters.contains(id),
        };
        view.nodes.iter().map(status).collect()
    }

    /// What the controller does next, in words; `None`: everything stands where it should.
    #[must_use]
    pub fn next_step(&self, replicas: &[ReplicaStatus]) -> Option<String> {
        let view = self.control.view();
        let reachable = view.nodes.keys().copied().filter(|node| self.control.is_reachable(*node)).collect();
        next_step(&view, &reachable, &BTreeSet::new(), &seen(replicas)).map(|step| format!("{step:?}"))
    }

    /// Hands over what this node leads, so that nobody has to wait for an election when it ends.
    pub async fn resign(&self) {
        for route in self.shards.iter().map(ShardHandle::route).chain([self.control.route()]) {
            let Some(group) = route.group().filter(|_| route.is_leader()) else { continue };
            let heir = group.status().voters.into_iter().find(|voter| *voter != route.me && self.control.is_reachable(*voter));
            if let Some(heir) = heir
                && let Err(error) = group.transfer_leader(heir).await
            {
                tracing::info!(group = %route.id, %heir, %error, "not handed over: the others will elect a leader");
            }
        }
    }

    /// Has a node give its replicas away, take some again, or be forgotten.
    ///
    /// # Errors
    /// Why it was not done, or that the outcome is unknown.
    pub async fn set_state(&self, node: NodeId, state: NodeState) -> Result<(), String> {
        let command = Command::SetNodeState(SetNodeState { node: node.0, state: state.into() });
        let nobody = || GroupError::NotLeader { leader: None };
        let attempt = |_leader, _left| self.control.propose(command.clone());
        // Twice the same is once: an unknown outcome may be tried again too.
        let again = |error: &GroupError| !matches!(error, GroupError::Stopped(_));
        match self.control.route().until_led(STATE_DEADLINE, nobody, attempt, again).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(format!("node: {node} is not known, or was removed")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Hands a group over to one of its voters.
    ///
    /// # Errors
    /// Why it was not done, or that the outcome is unknown.
    pub async fn transfer(&self, group: GroupId, to: NodeId) -> Result<(), String> {
        let route = self.route(group).ok_or_else(|| format!("shard: {group} is not known"))?;
        match route.leader() {
            Some(leader) if leader == to => Ok(()),
            Some(leader) if leader == route.me => {
                let group = route.group().ok_or("the replica went")?;
                group.transfer_leader(to).await.map_err(|error| error.to_string())
            }
            Some(leader) => told(route, leader, Ask::Transfer, PeerTransfer { to: to.0 }.encode_to_vec()).await,
            None => Err(GroupError::NotLeader { leader: None }.to_string()),
        }
    }

    /// Makes exactly these nodes vote.
    pub(crate) async fn voters(&self, group: GroupId, voters: BTreeSet<NodeId>) -> Result<(), String> {
        let route = self.route(group).ok_or_else(|| format!("group {group} is not known"))?;
        match route.leader() {
            Some(leader) if leader == route.me => {
                let group = route.group().ok_or("the replica went")?;
                members::change(&group, voters).await.map_err(|error| error.to_string())
            }
            Some(leader) => {
                let body = PeerVoters { voters: voters.iter().map(|node| node.0).collect() }.encode_to_vec();
                told(route, leader, Ask::Voters, body).await
            }
            None => Err(GroupError::NotLeader { leader: None }.to_string()),
        }
    }
}

async fn told(route: &Route, leader: NodeId, ask: Ask, body: Vec<u8>) -> Result<(), String> {
    let answer = route.ask(leader, ask, body.into(), CHANGE_DEADLINE).await;
    answer.map(drop).map_err(|error| format!("node {leader}: {error}"))
}

fn word(state: NodeState) -> &'static str {
    match state {
        NodeState::Active => "active",
        NodeState::Draining => "draining",
        NodeState::Removed => "removed",
    }
}
