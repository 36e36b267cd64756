//! The controller: on the control group's leader, moves replicas and leaders towards where they should be.
//!
//! It keeps nothing: what it sees and what it plans is asked anew at each tick, so another leader goes on where it stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ractor::ActorProcessingErr;
use watershed_cluster::{GroupError, Seen, Step, next_step};
use watershed_schema::proto::control_command::Command;
use watershed_schema::proto::{AssignShard, NodeState, ReplicaStatus};
use watershed_schema::{GroupId, NodeId, ShardId};

use super::ControlHandle;
use crate::operator::Operator;
use crate::tick::Tick;

/// Steps between two looks at who is there.
const STEPS_MAX: usize = 8;
/// A node that has been silent for so long is given up: others get its replicas.
const GIVEN_UP: Duration = Duration::from_secs(300);

pub(crate) struct Controller {
    control: ControlHandle,
    operator: Operator,
    /// When a node was last connected.
    heard: BTreeMap<NodeId, Instant>,
}

impl Controller {
    pub(crate) fn new(control: ControlHandle, operator: Operator) -> Self {
        Self { control, operator, heard: BTreeMap::new() }
    }

    /// Nodes that answer, or have not been silent for long enough; not those that were removed.
    fn alive(&mut self) -> BTreeSet<NodeId> {
        let (now, view) = (Instant::now(), self.control.view());
        let is_member = |node: &NodeId| view.nodes.get(node).is_some_and(|known| known.state != NodeState::Removed);
        self.heard.retain(|node, _| is_member(node));
        for node in view.nodes.keys().filter(|node| is_member(node)) {
            let heard = self.heard.entry(*node).or_insert(now);
            if self.control.is_reachable(*node) {
                *heard = now;
            }
        }
        self.heard.iter().filter(|(_, heard)| heard.elapsed() < GIVEN_UP).map(|(node, _)| *node).collect()
    }

    async fn look(&mut self) {
        self.control.tell_peers().await;
        if !self.control.is_leader() {
            return self.heard.clear();
        }
        let alive = self.alive();
        if let Err(error) = self.learners(&alive).await {
            tracing::debug!(%error, "a node is not yet told of the cluster");
        }
        let silent = alive.iter().copied().filter(|node| !self.control.is_reachable(*node)).collect();
        for _ in 0..STEPS_MAX {
            let seen = seen(&self.operator.replicas().await);
            let Some(step) = next_step(&self.control.view(), &alive, &silent, &seen) else { return };
            if let Err(error) = self.carry_out(step).await {
                return tracing::info!(%error, "the controller tries again");
            }
        }
    }

    /// Every node follows the control group, so that it knows the cluster.
    async fn learners(&self, alive: &BTreeSet<NodeId>) -> Result<(), GroupError> {
        let (group, view) = (self.control.group(), self.control.view());
        let status = group.status();
        let is_removed = |node: &&NodeId| view.nodes.get(node).is_some_and(|known| known.state == NodeState::Removed);
        for node in status.learners.iter().filter(is_removed) {
            group.remove(*node).await?;
        }
        for node in alive.difference(&(&status.learners | &status.voters)) {
            group.add_learner(*node).await?;
        }
        Ok(())
    }

    async fn carry_out(&self, step: Step) -> Result<(), String> {
        tracing::info!(?step, "the controller moves on");
        match step {
            Step::Assign { shard, nodes } => {
                let nodes = nodes.iter().map(|node| node.0).collect();
                let command = Command::Assign(AssignShard { shard: u32::from(shard.0), nodes });
                self.control.propose(command).await.map(drop).map_err(|error| error.to_string())
            }
            Step::Voters { group, voters } => self.operator.voters(group, voters).await,
            Step::Transfer { group, to } => self.operator.transfer(group, to).await,
        }
    }
}

/// Groups with a leader, as their leaders see them: of two that say so the one with the higher term.
pub(crate) fn seen(replicas: &[ReplicaStatus]) -> BTreeMap<GroupId, Seen> {
    let mut leaders = BTreeMap::<GroupId, &ReplicaStatus>::new();
    for replica in replicas.iter().filter(|replica| replica.leader == replica.node) {
        let shard = replica.shard.map(|shard| ShardId(u16::try_from(shard).unwrap_or(u16::MAX)));
        let known = leaders.entry(shard.map_or(GroupId::CONTROL, GroupId::of_shard)).or_insert(replica);
        if replica.term > known.term {
            *known = replica;
        }
    }
    let of = |replica: &ReplicaStatus| Seen {
        leader: NodeId(replica.leader),
        voters: replica.voters.iter().copied().map(NodeId).collect(),
    };
    leaders.into_iter().map(|(group, replica)| (group, of(replica))).collect()
}

impl Tick for Controller {
    const EVERY: Duration = Duration::from_millis(500);

    async fn tick(&mut self) -> Result<(), ActorProcessingErr> {
        self.look().await;
        Ok(())
    }
}
