//! What a replica knows about its group.

use std::collections::{BTreeMap, BTreeSet};

use openraft::ServerState;
use openraft::async_runtime::WatchReceiver as _;
use openraft::metrics::{RaftMetrics, RaftServerMetrics};
use openraft::type_config::alias::{LogIdOf, WatchReceiverOf};
use watershed_schema::{Lsn, NodeId, Term};

use super::Group;
use super::types::Types;

/// What a replica is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It takes proposals.
    Leader,
    /// It votes and follows.
    Follower,
    /// It stands for election.
    Candidate,
    /// It follows and does not vote.
    Learner,
    /// It has stopped.
    Stopped,
}

impl Role {
    /// One lower-case word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
            Self::Stopped => "stopped",
        }
    }
}

/// A replica's view of its group. Positions are those of the last entry that is included; none = no entry yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What this replica is.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// Who leads, as far as is known here.
    pub leader: Option<NodeId>,
    /// Last entry of the log, durable or not.
    pub last: Option<Lsn>,
    /// Last entry that is durable here.
    pub durable: Option<Lsn>,
    /// Last entry that is known to be committed.
    pub committed: Option<Lsn>,
    /// Last entry that is applied here.
    pub applied: Option<Lsn>,
    /// Last entry that was purged here.
    pub purged: Option<Lsn>,
    /// Those who vote.
    pub voters: BTreeSet<NodeId>,
    /// Those who only follow.
    pub learners: BTreeSet<NodeId>,
    /// On the leader: entries that each other replica is behind. Empty on all others.
    pub lag: BTreeMap<NodeId, u64>,
}

/// Who leads, in which term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The term.
    pub term: Term,
    /// The leader, as far as this replica knows. A leader that was cut off takes itself for the leader until it hears.
    pub leader: Option<NodeId>,
}

/// Follows who leads.
#[derive(Clone)]
pub struct LeaderWatch {
    metrics: WatchReceiverOf<Types, RaftServerMetrics<Types>>,
    seen: Leadership,
}

impl LeaderWatch {
    /// Who leads now.
    #[must_use]
    pub fn current(&self) -> Leadership {
        leadership(&self.metrics.borrow_watched())
    }

    /// Waits until it is somebody else, or another term, than the last time; at first than when the watch was made.
    /// None when the replica has stopped. Changes in between may be skipped.
    pub async fn changed(&mut self) -> Option<Leadership> {
        loop {
            let now = self.current();
            if now != self.seen {
                self.seen = now;
                return Some(now);
            }
            self.metrics.changed().await.ok()?;
        }
    }
}

fn leadership(metrics: &RaftServerMetrics<Types>) -> Leadership {
    let leader = leader_of(metrics.current_leader, metrics.id, metrics.state);
    Leadership { term: Term(metrics.vote.leader_id.term), leader }
}

/// openraft names the node of the last vote. A leader that was taken out voted for itself, and hears of no later one.
fn leader_of(named: Option<u64>, me: u64, state: ServerState) -> Option<NodeId> {
    named.filter(|leader| *leader != me || state == ServerState::Leader).map(NodeId)
}

impl Group {
    /// What this replica knows.
    #[must_use]
    pub fn status(&self) -> Status {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let members = metrics.membership_config.membership();
        Status {
            role: role(&metrics),
            term: Term(metrics.current_term),
            leader: leader_of(metrics.current_leader, metrics.id, metrics.state),
            last: metrics.last_log_index.map(Lsn),
            durable: self.durable(),
            committed: lsn(metrics.cluster_committed.max(metrics.local_committed)),
            applied: lsn(metrics.last_applied),
            purged: lsn(metrics.purged),
            voters: members.voter_ids().map(NodeId).collect(),
            learners: members.learner_ids().map(NodeId).collect(),
            lag: lag(&metrics),
        }
    }

    /// Who leads, as far as is known here.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.watch_leader().current().leader
    }

    /// Whether this replica has a vote, as far as it knows. One without may have been taken out, and then hears of no later
    /// leader.
    #[must_use]
    pub fn votes(&self) -> bool {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().voter_ids().any(|voter| voter == metrics.id)
    }

    /// Tells when somebody else leads.
    #[must_use]
    pub fn watch_leader(&self) -> LeaderWatch {
        let metrics = self.raft.server_metrics();
        let seen = leadership(&metrics.borrow_watched());
        LeaderWatch { metrics, seen }
    }

    fn durable(&self) -> Option<Lsn> {
        let flushed = self.raft.watch_log_progress().get();
        flushed.and_then(|flushed| lsn(flushed.last_log_id))
    }
}

fn lsn(position: Option<LogIdOf<Types>>) -> Option<Lsn> {
    position.map(|position| Lsn(position.index))
}

fn role(metrics: &RaftMetrics<Types>) -> Role {
    match (&metrics.running_state, metrics.state) {
        (Err(_), _) | (Ok(()), ServerState::Shutdown) => Role::Stopped,
        (Ok(()), ServerState::Leader) => Role::Leader,
        (Ok(()), ServerState::Follower) => Role::Follower,
        (Ok(()), ServerState::Candidate) => Role::Candidate,
        (Ok(()), ServerState::Learner) => Role::Learner,
    }
}

fn lag(metrics: &RaftMetrics<Types>) -> BTreeMap<NodeId, u64> {
    let end = metrics.last_log_index.map_or(0, |last| last + 1);
    let behind = |matched: Option<LogIdOf<Types>>| end.saturating_sub(matched.map_or(0, |matched| matched.index + 1));
    let others = metrics.replication.iter().flatten().filter(|(node, _)| **node != metrics.id);
    others.map(|(node, matched)| (NodeId(*node), behind(*matched))).collect()
}
