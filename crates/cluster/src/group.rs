//! A Raft group, hidden behind our own words: propose, read index, purge.

mod fresh;
mod inbound;
mod log;
mod machine;
mod members;
mod network;
mod pipeline;
mod pulse;
mod receive;
mod status;
mod storage;
#[cfg(test)]
mod tests;
mod types;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::WatchReceiver as _;
use openraft::error::{InitializeError, LinearizableReadError, RaftError};
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResponse;
use openraft::{Config, Raft, ReadPolicy, SnapshotPolicy};
use watershed_schema::{EntryKind, GroupId, Lsn, NodeId, Term};

pub use pulse::Pulse;
pub use status::{LeaderWatch, Leadership, Role, Status};
pub use storage::{Applied, Base, Done, ReplicaStore, StateMachine};

use crate::transport::Transport;
use types::{Command, Types};

const HEARTBEAT_MS: u64 = 100;
/// What openraft takes for its heartbeat: it looks at its timers every 13/64 of this, and waits this long for
/// the answer to a heartbeat. Ours comes from [`Pulse`], so its own clock only has to see that an election is due.
const CLOCK_MS: u64 = 390;
const ELECTION_MIN_MS: u64 = 400;
const ELECTION_MAX_MS: u64 = 800;
/// The receiver's disk takes part in it; openraft's own 200 ms are for a network.
const SNAPSHOT_MS: u64 = 4_000;
const PURGE_DEADLINE: Duration = Duration::from_secs(10);

/// Why a group did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Another node leads, or nobody; nothing was written.
    #[error("not the leader, leader is {leader:?}")]
    NotLeader {
        /// Who leads, as far as is known.
        leader: Option<NodeId>,
    },
    /// The group stopped; what was proposed may or may not be committed.
    #[error("group stopped: {0}")]
    Stopped(String),
    /// Another leader's entry took the place of what was proposed; it may or may not be committed.
    #[error("another node took over, the outcome is unknown")]
    Unknown,
    /// It took too long; what was asked may still happen.
    #[error("no leader within {0:?}")]
    NoLeader(Duration),
    /// What another node sent cannot be used.
    #[error("bad message: {0}")]
    BadMessage(String),
    /// The node is not what it would have to be: a learner to get a vote, a voter to lead.
    #[error("node {node} is not a fitting member of the group")]
    NotMember {
        /// The node.
        node: NodeId,
    },
    /// The node has to catch up first.
    #[error("node {node} is {entries} entries behind")]
    Lagging {
        /// The node.
        node: NodeId,
        /// Entries that it lacks; [`u64::MAX`] when it has not answered yet.
        entries: u64,
    },
    /// The last change of the members, or the leader's first entry, is not committed yet.
    #[error("another change of the members is not committed yet")]
    MembershipBusy,
    /// Voters change one node at a time, and there is always one.
    #[error("voters change one node at a time, and one stays")]
    OneAtATime,
}

/// What a replica needs to exist.
pub struct Replica {
    /// The group.
    pub group: GroupId,
    /// This node.
    pub node: NodeId,
    /// The log on disk.
    pub store: Arc<dyn ReplicaStore>,
    /// What the log amounts to.
    pub state: Box<dyn StateMachine>,
    /// The way to the others.
    pub transport: Arc<dyn Transport>,
    /// The node's clock.
    pub pulse: Pulse,
}

/// One replica of a Raft group. Cheap to clone.
#[derive(Clone)]
pub struct Group {
    raft: Raft<Types, machine::Machine>,
    inbound: inbound::Inbound,
    point: machine::SnapshotPoint,
    heart: Arc<pulse::Heart>,
    /// One purge at a time: each has a snapshot of its own.
    purging: Arc<tokio::sync::Mutex<()>>,
}

impl Group {
    /// Opens this node's replica: state = kept snapshot, then the log.
    ///
    /// # Errors
    /// [`GroupError::Stopped`] when the store or the state cannot be read.
    pub async fn open(replica: Replica) -> Result<Self, GroupError> {
        let Replica { group, node, store, state, transport, pulse } = replica;
        let point = machine::SnapshotPoint::default();
        let opened = machine::Machine::open(Arc::clone(&store), state, point.clone());
        let machine = opened.map_err(|error| stopped(&error))?;
        let peers = network::Peers::new(transport, group);
        let raft = Raft::new(node.0, Arc::new(config(group)), peers, log::Log::new(store), machine).await;
        let raft = raft.map_err(|error| stopped(&error))?;
        let heart = pulse.join(raft.clone());
        Ok(Self { raft, inbound: inbound::Inbound::default(), point, heart, purging: Arc::default() })
    }

    /// Founds the group, unless it was founded before. Any or all of the founders may call it, with the same voters. A
    /// node that is to be added later must not: it waits until the leader calls.
    ///
    /// # Errors
    /// [`GroupError::NotMember`] when this node is not among the voters, [`GroupError::Stopped`].
    pub async fn bootstrap(&self, voters: &[NodeId]) -> Result<(), GroupError> {
        if self.raft.is_initialized().await.map_err(|error| stopped(&error))? {
            return self.raft.trigger().elect(true).await.map_err(|error| stopped(&error));
        }
        match self.raft.initialize(Self::founders(voters)).await {
            // Another founder was faster.
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotInMembers(not))) => {
                Err(GroupError::NotMember { node: NodeId(not.node_id) })
            }
            Err(error) => Err(stopped(&error)),
        }
    }

    /// Waits until somebody leads.
    ///
    /// # Errors
    /// [`GroupError::NoLeader`] after `deadline`.
    pub async fn wait_leader(&self, deadline: Duration) -> Result<NodeId, GroupError> {
        let waited = self.raft.wait(Some(deadline)).metrics(|metrics| metrics.current_leader.is_some(), "a leader").await;
        let leader = waited.ok().and_then(|metrics| metrics.current_leader);
        leader.map(NodeId).ok_or(GroupError::NoLeader(deadline))
    }

    /// Puts a command into the log; returns when it is committed on a quorum and applied here. That may be never while
    /// this node is a leader without a quorum: who cannot wait sets a deadline, and the outcome is then unknown.
    ///
    /// # Errors
    /// [`GroupError::NotLeader`]: nothing was written. [`GroupError::Unknown`] and [`GroupError::Stopped`] leave the
    /// outcome open.
    pub async fn propose(&self, kind: EntryKind, payload: Bytes) -> Result<Applied, GroupError> {
        self.raft.client_write(Command { kind: kind as u8, payload }).await.map(applied).map_err(members::refused)
    }

    /// Like [`Self::propose`], only if this node still leads in `term`: what was known when leadership was confirmed in it
    /// still counts. A node that lost leadership and has got it again lacks what the other leader committed meanwhile.
    ///
    /// # Errors
    /// As [`Self::propose`]; [`GroupError::NotLeader`] may name this node, which then leads in another term.
    pub async fn propose_in(&self, term: Term, kind: EntryKind, payload: Bytes) -> Result<Applied, GroupError> {
        let (responder, completed) = ProgressResponder::complete_only();
        let write = self.raft.write(Command { kind: kind as u8, payload }).with_leader(types::leader_of(term));
        write.responder(responder).await.map_err(|error| stopped(&error))?;
        let written = completed.await.map_err(|_gone| stopped(&"no answer"))?;
        written.map(applied).map_err(|error| members::refused(RaftError::APIError(error)))
    }

    /// Confirms leadership with a quorum and waits until everything committed before is applied here. Only the leader
    /// can: ask it on its node.
    ///
    /// # Errors
    /// [`GroupError::NotLeader`], also for a leader that finds no quorum; [`GroupError::Stopped`].
    pub async fn read_index(&self) -> Result<(), GroupError> {
        let confirmed = self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await;
        confirmed.map(drop).map_err(|error| match error {
            RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)) => {
                GroupError::NotLeader { leader: forward.leader_id.map(NodeId) }
            }
            RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)) => GroupError::NotLeader { leader: None },
            RaftError::Fatal(error) => stopped(&error),
        })
    }

    /// Keeps a snapshot of the state as it was behind the applied entry `lsn`, then lets go of everything up to there.
    /// Waits while a follower is being sent those entries.
    ///
    /// # Errors
    /// [`GroupError::Stopped`]; when it took longer than 10 s the purge may still happen.
    pub async fn purge_upto(&self, lsn: Lsn) -> Result<(), GroupError> {
        let _one_at_a_time = self.purging.lock().await;
        self.kept_here(lsn).await?;
        self.point.set(lsn);
        self.raft.trigger().snapshot().await.map_err(|error| stopped(&error))?;
        self.reached("a snapshot", move |metrics| metrics.snapshot.is_some_and(|last| last.index >= lsn.0)).await?;
        self.raft.trigger().purge_log(lsn.0).await.map_err(|error| stopped(&error))?;
        self.reached("a purge", move |metrics| metrics.purged.is_some_and(|last| last.index >= lsn.0)).await
    }

    /// Committed entries are applied when others have them, also before they are on this disk: their numbers are there.
    async fn kept_here(&self, lsn: Lsn) -> Result<(), GroupError> {
        let late = || stopped(&format!("entry {lsn} is not durable here within {PURGE_DEADLINE:?}"));
        self.reached("the entry", move |metrics| metrics.last_applied.is_some_and(|last| last.index >= lsn.0)).await?;
        let mut progress = self.raft.watch_log_progress();
        let durable = progress.wait_until(|flushed| {
            let last = flushed.as_ref().and_then(|flushed| flushed.last_log_id);
            last.is_some_and(|last| last.index >= lsn.0)
        });
        tokio::time::timeout(PURGE_DEADLINE, durable).await.map_err(|_late| late())?.map(drop).map_err(|_gone| late())
    }

    async fn reached(&self, what: &str, goal: impl Fn(&openraft::RaftMetrics<Types>) -> bool + Send) -> Result<(), GroupError> {
        let waited = self.raft.wait(Some(PURGE_DEADLINE)).metrics(goal, what).await;
        waited.map(drop).map_err(|error| stopped(&error))
    }

    /// Term this replica is in.
    #[must_use]
    pub fn term(&self) -> Term {
        Term(self.raft.metrics().borrow_watched().current_term)
    }

    /// Ends this replica.
    ///
    /// # Errors
    /// [`GroupError::Stopped`] when it had failed.
    pub async fn shutdown(&self) -> Result<(), GroupError> {
        self.raft.shutdown().await.map_err(|error| stopped(&error))
    }
}

fn applied(written: ClientWriteResponse<Types>) -> Applied {
    Applied { lsn: Lsn(written.log_id.index), answer: written.data.0 }
}

fn config(group: GroupId) -> Config {
    let config = Config {
        cluster_name: format!("group-{group}"),
        heartbeat_interval: CLOCK_MS,
        enable_heartbeat: false,
        election_timeout_min: ELECTION_MIN_MS,
        election_timeout_max: ELECTION_MAX_MS,
        install_snapshot_timeout: SNAPSHOT_MS,
        snapshot_policy: SnapshotPolicy::Never,
        // A node that was cut off must not depose a leader that the others follow.
        enable_pre_vote: Some(true),
        // Entries are sent before they are durable here. A leader that restarts may lack some that others have, and in
        // its old term it would give their places to other entries: the logs would differ at equal terms.
        enable_leader_restore: Some(false),
        // A follower that lacks what it had acknowledged is sent it again. Else openraft panics: the leader would die of
        // another node's disk, or of an append that overtook another.
        allow_log_reversion: Some(true),
        max_in_snapshot_log_to_keep: u64::MAX,
        ..Config::default()
    };
    config.validate().expect("invariant: the timing above is consistent")
}

fn stopped(error: &impl ToString) -> GroupError {
    GroupError::Stopped(error.to_string())
}

impl From<GroupError> for io::Error {
    fn from(error: GroupError) -> Self {
        Self::other(error)
    }
}
