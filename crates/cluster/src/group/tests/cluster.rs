//! A few replicas in one process, and what a user sees of them. Runs on tokio's paused clock: a second of the cluster
//! takes as long as its work, and a loaded machine changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use watershed_schema::{EntryKind, GroupId, NodeId};

use super::memory::{Journal, Memory};
use super::net::Net;
use crate::Pulse;
use crate::group::{Applied, Group, GroupError, Replica, Role};

pub(super) const DEADLINE: Duration = Duration::from_secs(30);

pub(super) struct Node {
    pub(super) store: Arc<Memory>,
    pub(super) journal: Journal,
    pub(super) group: Group,
}

pub(super) struct Cluster {
    pub(super) net: Net,
    pub(super) nodes: BTreeMap<NodeId, Node>,
}

pub(super) fn node(number: u64) -> NodeId {
    NodeId(number)
}

pub(super) fn line(number: u64) -> Bytes {
    Bytes::from(number.to_string())
}

async fn open(net: &Net, me: NodeId, store: &Arc<Memory>) -> Node {
    let (journal, transport) = (Journal::default(), net.transport(me));
    let (store, state, pulse) = (Arc::clone(store), Box::new(journal.clone()), Pulse::start());
    let replica = Replica { group: GroupId(1), node: me, store: Arc::clone(&store) as _, state, transport, pulse };
    let group = Group::open(replica).await.expect("opens");
    net.join(me, group.clone());
    Node { store, journal, group }
}

impl Cluster {
    /// Voters `1..=voters`, with a leader.
    pub(super) async fn start(voters: u64) -> Self {
        let mut cluster = Self { net: Net::default(), nodes: BTreeMap::new() };
        for number in 1..=voters {
            cluster.add(node(number)).await;
        }
        let founders: Vec<NodeId> = cluster.nodes.keys().copied().collect();
        for replica in cluster.nodes.values() {
            replica.group.bootstrap(&founders).await.expect("founded");
        }
        cluster.leader().await;
        cluster
    }

    /// A node that knows nothing yet.
    pub(super) async fn add(&mut self, id: NodeId) {
        let node = open(&self.net, id, &Arc::default()).await;
        self.nodes.insert(id, node);
    }

    pub(super) fn at(&self, id: NodeId) -> &Node {
        &self.nodes[&id]
    }

    pub(super) fn others(&self, id: NodeId) -> Vec<NodeId> {
        self.nodes.keys().copied().filter(|other| *other != id).collect()
    }

    /// The leader, once a quorum has confirmed it: before that it refuses proposals.
    pub(super) async fn leader(&self) -> NodeId {
        self.leader_among(&self.nodes.keys().copied().collect()).await
    }

    pub(super) async fn leader_among(&self, nodes: &BTreeSet<NodeId>) -> NodeId {
        let end = tokio::time::Instant::now() + DEADLINE;
        loop {
            assert!(tokio::time::Instant::now() < end, "no confirmed leader within {DEADLINE:?}: {:#?}", self.statuses());
            let leads = |id: &NodeId| nodes.contains(id) && self.at(*id).group.status().role == Role::Leader;
            self.until("a leader", || nodes.iter().any(leads)).await;
            for id in nodes.iter().filter(|id| leads(id)) {
                if let Ok(Ok(())) = tokio::time::timeout(Duration::from_secs(1), self.at(*id).group.read_index()).await {
                    return *id;
                }
            }
        }
    }

    /// Waits for a condition; the time is the cluster's.
    pub(super) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let end = tokio::time::Instant::now() + DEADLINE;
        while !holds() {
            assert!(tokio::time::Instant::now() < end, "no {what} within {DEADLINE:?}: {:#?}", self.statuses());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn statuses(&self) -> Vec<crate::Status> {
        self.nodes.values().map(|node| node.group.status()).collect()
    }

    pub(super) async fn propose(&self, to: NodeId, number: u64) -> Result<Applied, GroupError> {
        self.at(to).group.propose(EntryKind::Append, line(number)).await
    }

    /// Proposes all of them on the leader.
    pub(super) async fn write(&self, numbers: std::ops::Range<u64>) {
        let leader = self.leader().await;
        futures::future::try_join_all(numbers.map(|number| self.propose(leader, number))).await.expect("committed");
    }

    pub(super) fn isolate(&self, id: NodeId) {
        for other in self.others(id) {
            self.net.cut(id, other);
            self.net.cut(other, id);
        }
    }

    pub(super) async fn stop(&self, id: NodeId) {
        self.net.leave(id);
        self.at(id).group.shutdown().await.expect("stops");
    }

    /// Ends a replica and opens it again on what its disk holds.
    pub(super) async fn restart(&mut self, id: NodeId) {
        self.net.leave(id);
        let store = Arc::clone(&self.at(id).store);
        // What waits for a silent disk would wait for ever.
        store.cut_power();
        // A replica whose disk failed has stopped already.
        drop(self.at(id).group.shutdown().await);
        store.power_on();
        let node = open(&self.net, id, &store).await;
        self.nodes.insert(id, node);
    }

    /// Waits until all replicas have applied the same, and gives it back.
    pub(super) async fn agreed(&self) -> Vec<Bytes> {
        self.until("agreement", || {
            let statuses = self.statuses();
            let all_of = |status: &crate::Status| status.applied == status.last && status.last == statuses[0].last;
            statuses.iter().all(all_of) && statuses.iter().any(|status| status.role == Role::Leader)
        })
        .await;
        let lines: BTreeSet<Vec<Bytes>> = self.nodes.values().map(|node| node.journal.lines()).collect();
        assert_eq!(lines.len(), 1, "replicas applied different entries: {lines:?}");
        lines.into_iter().next().expect("one")
    }

    /// The checker: every acknowledged entry once, and nothing that was refused.
    pub(super) async fn check(&self, acknowledged: &[u64], refused: &[u64]) {
        let lines = self.agreed().await;
        let once: BTreeSet<&Bytes> = lines.iter().collect();
        assert_eq!(once.len(), lines.len(), "an entry was applied twice");
        for number in acknowledged {
            assert!(once.contains(&line(*number)), "{number} was acknowledged and is lost");
        }
        for number in refused {
            assert!(!once.contains(&line(*number)), "{number} was refused and is there");
        }
    }
}
