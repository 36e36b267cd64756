//! What the control group's log amounts to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::watch;
use watershed_schema::proto::control_command::Command;
use watershed_schema::proto::{AssignShard, ControlCommand, ControlNode, ControlState, FoundCluster, JoinNode, NodeState};
use watershed_schema::{EntryKind, Lsn, NodeId, ShardId, TenantId};

use crate::{Member, StateMachine};

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its data folder's random name: the same folder is the same node.
    pub join_id: String,
    /// Where other nodes reach it, `host:port`.
    pub address: String,
    /// Its failure domain.
    pub zone: String,
    /// Whether it may hold replicas.
    pub state: NodeState,
}

/// The cluster, as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlView {
    /// Its random name; empty before it was founded.
    pub cluster_id: String,
    /// Replicas that a shard should have.
    pub replicas: usize,
    /// Every node that ever was, so that no number is given twice.
    pub nodes: BTreeMap<NodeId, Node>,
    /// By shard: the nodes that hold a replica, or are about to.
    pub shards: Vec<Vec<NodeId>>,
    /// Tenants that are spread over all shards.
    pub spread: BTreeSet<TenantId>,
}

impl ControlView {
    /// The nodes of a shard; none when there is no such shard.
    #[must_use]
    pub fn replicas_of(&self, shard: ShardId) -> &[NodeId] {
        self.shards.get(usize::from(shard.0)).map_or(&[], Vec::as_slice)
    }

    /// Shards with a replica on a node.
    pub fn shards_of(&self, node: NodeId) -> impl Iterator<Item = ShardId> + '_ {
        let holds = move |(number, nodes): (usize, &Vec<NodeId>)| nodes.contains(&node).then_some(number);
        self.shards.iter().enumerate().filter_map(holds).filter_map(|number| u16::try_from(number).ok()).map(ShardId)
    }

    /// The nodes that may be given replicas.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        let active = self.nodes.iter().filter(|(_, node)| node.state == NodeState::Active);
        active.map(|(id, node)| Member { node: *id, zone: node.zone.clone() }).collect()
    }

    /// The node whose folder has this name.
    #[must_use]
    pub fn by_join_id(&self, join_id: &str) -> Option<NodeId> {
        self.nodes.iter().find(|(_, node)| node.join_id == join_id).map(|(id, _)| *id)
    }

    fn found(&mut self, asked: FoundCluster) -> Option<NodeId> {
        let founder = asked.founder?;
        if !self.cluster_id.is_empty() {
            return None;
        }
        self.cluster_id = asked.cluster_id;
        self.replicas = asked.replicas as usize;
        let first = self.join(founder)?;
        self.shards = vec![vec![first]; asked.shards as usize];
        Some(first)
    }

    fn join(&mut self, asked: JoinNode) -> Option<NodeId> {
        if self.cluster_id.is_empty() || asked.join_id.is_empty() {
            return None;
        }
        let known = self.by_join_id(&asked.join_id);
        let id = known.unwrap_or_else(|| NodeId(self.nodes.keys().last().map_or(1, |last| last.0 + 1)));
        let state = self.nodes.get(&id).map_or(NodeState::Active, |node| node.state);
        if state == NodeState::Removed {
            return None;
        }
        let node = Node { join_id: asked.join_id, address: asked.address, zone: asked.zone, state };
        self.nodes.insert(id, node);
        Some(id)
    }

    fn assign(&mut self, asked: &AssignShard) -> Option<NodeId> {
        let nodes: Vec<NodeId> = asked.nodes.iter().copied().map(NodeId).collect();
        let known = nodes.first().copied().filter(|_| nodes.iter().all(|node| self.nodes.contains_key(node)))?;
        *self.shards.get_mut(asked.shard as usize)? = nodes;
        Some(known)
    }

    fn set_state(&mut self, node: NodeId, state: NodeState) -> Option<NodeId> {
        let found = self.nodes.get_mut(&node).filter(|found| found.state != NodeState::Removed)?;
        found.state = state;
        Some(node)
    }

    /// Whom it was about; `None`: the command was refused and changed nothing.
    fn apply(&mut self, command: Command) -> Option<NodeId> {
        match command {
            Command::Found(asked) => self.found(asked),
            Command::Join(asked) => self.join(asked),
            Command::Assign(asked) => self.assign(&asked),
            Command::Spread(asked) => {
                self.spread.insert(TenantId::new(&asked.tenant).ok()?);
                Some(NodeId(0))
            }
            Command::SetNodeState(asked) => self.set_state(NodeId(asked.node), asked.state()),
        }
    }

    fn to_proto(&self) -> ControlState {
        let node = |(id, node): (&NodeId, &Node)| ControlNode {
            node: id.0,
            join_id: node.join_id.clone(),
            address: node.address.clone(),
            zone: node.zone.clone(),
            state: node.state.into(),
        };
        let shard = |(shard, nodes): (u32, &Vec<NodeId>)| AssignShard { shard, nodes: nodes.iter().map(|node| node.0).collect() };
        ControlState {
            cluster_id: self.cluster_id.clone(),
            replicas: u32::try_from(self.replicas).unwrap_or(u32::MAX),
            nodes: self.nodes.iter().map(node).collect(),
            shards: (0..).zip(&self.shards).map(shard).collect(),
            spread_tenants: self.spread.iter().map(|tenant| tenant.as_str().to_owned()).collect(),
        }
    }

    fn from_proto(kept: ControlState) -> Self {
        let node = |kept: ControlNode| {
            let state = kept.state();
            (NodeId(kept.node), Node { join_id: kept.join_id, address: kept.address, zone: kept.zone, state })
        };
        Self {
            cluster_id: kept.cluster_id,
            replicas: kept.replicas as usize,
            nodes: kept.nodes.into_iter().map(node).collect(),
            shards: kept.shards.into_iter().map(|shard| shard.nodes.into_iter().map(NodeId).collect()).collect(),
            spread: kept.spread_tenants.iter().filter_map(|tenant| TenantId::new(tenant).ok()).collect(),
        }
    }
}

/// Applies the control group's log; readers watch.
#[derive(Debug)]
pub struct Control {
    view: watch::Sender<Arc<ControlView>>,
    /// The view behind each change since the last snapshot; the first is what was before them.
    past: VecDeque<(Lsn, Arc<ControlView>)>,
}

impl Control {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> (Self, watch::Receiver<Arc<ControlView>>) {
        let (view, watched) = watch::channel(Arc::default());
        (Self { view, past: VecDeque::from([(Lsn(0), Arc::default())]) }, watched)
    }

    /// Readers see the newest; what nobody will ask for goes. A cluster changes rarely: views are few.
    fn publish(&mut self) {
        const PAST_MAX: usize = 1_000;
        if let Some((_, newest)) = self.past.back() {
            self.view.send_replace(Arc::clone(newest));
        }
        if self.past.len() > PAST_MAX {
            self.past.pop_front();
        }
    }

    /// The node that a command was about, from what applying it answered; `None`: it was refused.
    #[must_use]
    pub fn answered(answer: &Bytes) -> Option<NodeId> {
        Some(NodeId(u64::from_le_bytes(answer.as_ref().try_into().ok()?)))
    }
}

impl StateMachine for Control {
    fn apply(&mut self, lsn: Lsn, kind: EntryKind, payload: &Bytes) -> Bytes {
        if kind != EntryKind::Control {
            return Bytes::new();
        }
        let command = ControlCommand::decode(payload.clone()).expect("invariant: the log holds what was proposed").command;
        let mut view = ControlView::clone(&self.view.borrow());
        let Some(about) = command.and_then(|command| view.apply(command)) else { return Bytes::new() };
        self.past.push_back((lsn, Arc::new(view)));
        self.publish();
        Bytes::copy_from_slice(&about.0.to_le_bytes())
    }

    fn snapshot(&self, at: Lsn) -> io::Result<Bytes> {
        let view = self.past.iter().rev().find(|(lsn, _)| *lsn <= at).map(|(_, view)| view);
        let view = view.ok_or_else(|| io::Error::other(format!("the view behind entry {at} is not known any more")))?;
        Ok(Bytes::from(view.to_proto().encode_to_vec()))
    }

    fn restore(&mut self, snapshot: &[u8]) -> io::Result<()> {
        let kept = ControlState::decode(snapshot).map_err(io::Error::other)?;
        self.past = VecDeque::from([(Lsn(0), Arc::new(ControlView::from_proto(kept)))]);
        self.publish();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use watershed_schema::proto::{SetNodeState, SpreadTenant};

    use super::*;

    fn join(name: &str) -> JoinNode {
        JoinNode { join_id: name.into(), address: format!("{name}:4319"), zone: String::new() }
    }

    fn applied(control: &mut Control, command: Command) -> Option<NodeId> {
        applied_at(control, Lsn(1), command)
    }

    fn applied_at(control: &mut Control, lsn: Lsn, command: Command) -> Option<NodeId> {
        let payload = Bytes::from(ControlCommand { command: Some(command) }.encode_to_vec());
        Control::answered(&control.apply(lsn, EntryKind::Control, &payload))
    }

    fn founded() -> (Control, watch::Receiver<Arc<ControlView>>) {
        let (mut control, view) = Control::new();
        let found = FoundCluster { cluster_id: "c".into(), shards: 4, replicas: 3, founder: Some(join("a")) };
        assert_eq!(applied(&mut control, Command::Found(found.clone())), Some(NodeId(1)));
        assert_eq!(applied(&mut control, Command::Found(found)), None, "a cluster is founded once");
        (control, view)
    }

    #[test]
    fn a_folder_is_a_node_and_numbers_are_never_given_twice() {
        let (mut control, view) = founded();
        assert_eq!(applied(&mut control, Command::Join(join("b"))), Some(NodeId(2)));
        assert_eq!(applied(&mut control, Command::Join(JoinNode { address: "new:1".into(), ..join("b") })), Some(NodeId(2)));
        assert_eq!(view.borrow().nodes[&NodeId(2)].address, "new:1");
        let gone = |node, state: NodeState| Command::SetNodeState(SetNodeState { node, state: state.into() });
        assert_eq!(applied(&mut control, gone(2, NodeState::Removed)), Some(NodeId(2)));
        assert_eq!(applied(&mut control, Command::Join(join("b"))), None, "who was removed does not come back");
        assert_eq!(applied(&mut control, gone(2, NodeState::Active)), None);
        assert_eq!(applied(&mut control, Command::Join(join("c"))), Some(NodeId(3)));
        assert_eq!(view.borrow().members().iter().map(|member| member.node.0).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn shards_stand_on_known_nodes() {
        let (mut control, view) = founded();
        let assign = |shard, nodes: &[u64]| Command::Assign(AssignShard { shard, nodes: nodes.to_vec() });
        assert_eq!(view.borrow().shards_of(NodeId(1)).count(), 4);
        for refused in [assign(0, &[]), assign(0, &[1, 2]), assign(4, &[1])] {
            assert_eq!(applied(&mut control, refused), None);
        }
        applied(&mut control, Command::Join(join("b")));
        assert!(applied(&mut control, assign(3, &[1, 2])).is_some());
        assert_eq!(view.borrow().replicas_of(ShardId(3)), [NodeId(1), NodeId(2)]);
        assert_eq!(view.borrow().shards_of(NodeId(2)).collect::<Vec<_>>(), [ShardId(3)]);
    }

    #[test]
    fn a_snapshot_is_all_of_it() {
        let (mut control, view) = founded();
        applied(&mut control, Command::Join(JoinNode { zone: "z".into(), ..join("b") }));
        applied(&mut control, Command::Spread(SpreadTenant { tenant: "acme".into() }));
        let (mut other, seen) = Control::new();
        other.restore(&control.snapshot(Lsn(1)).unwrap()).unwrap();
        assert_eq!(*view.borrow(), *seen.borrow());
        assert_eq!(applied(&mut other, Command::Join(join("c"))), Some(NodeId(3)));
    }

    #[test]
    fn a_snapshot_is_as_old_as_it_is_asked_for() {
        let (mut control, view) = founded();
        let before = view.borrow().clone();
        applied_at(&mut control, Lsn(5), Command::Join(join("b")));
        let (mut other, seen) = Control::new();
        other.restore(&control.snapshot(Lsn(4)).unwrap()).unwrap();
        assert_eq!((&*before, &before.nodes.len()), (&**seen.borrow(), &1));
    }
}
