//! A Raft group, hidden behind our own words: propose, read index, purge.

mod fresh;
mod log;
mod machine;
mod network;
mod storage;
#[cfg(test)]
mod tests;
mod types;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::WatchReceiver as _;
use openraft::error::{ClientWriteError, RaftError};
use openraft::{Config, EmptyNode, Raft, ReadPolicy, SnapshotPolicy};
use watershed_schema::{EntryKind, Lsn, NodeId, Term};

pub use storage::{Applied, Done, ReplicaStore, StateMachine};

use types::{Command, Types};

const HEARTBEAT_MS: u64 = 100;
const ELECTION_MIN_MS: u64 = 400;
const ELECTION_MAX_MS: u64 = 800;

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
    /// It took too long; what was asked may still happen.
    #[error("no leader within {0:?}")]
    NoLeader(Duration),
}

/// One replica of a Raft group. Cheap to clone.
#[derive(Clone)]
pub struct Group {
    raft: Raft<Types, machine::Machine>,
}

impl Group {
    /// Opens this node's replica: state = kept snapshot, then the log.
    ///
    /// # Errors
    /// [`GroupError::Stopped`] when the store or the state cannot be read.
    pub async fn open(me: NodeId, store: Arc<dyn ReplicaStore>, state: Box<dyn StateMachine>) -> Result<Self, GroupError> {
        let machine = machine::Machine::open(Arc::clone(&store), state).map_err(|error| stopped(&error))?;
        let config = Config {
            heartbeat_interval: HEARTBEAT_MS,
            election_timeout_min: ELECTION_MIN_MS,
            election_timeout_max: ELECTION_MAX_MS,
            snapshot_policy: SnapshotPolicy::Never,
            // A node that was cut off must not depose a leader that the others follow.
            enable_pre_vote: Some(true),
            max_in_snapshot_log_to_keep: u64::MAX,
            ..Config::default()
        };
        let config = Arc::new(config.validate().expect("invariant: the timing above is consistent"));
        let raft = Raft::new(me.0, config, network::NoPeers, log::Log::new(store), machine).await;
        Ok(Self { raft: raft.map_err(|error| stopped(&error))? })
    }

    /// Founds the group, unless it was founded before.
    ///
    /// # Errors
    /// [`GroupError::Stopped`].
    pub async fn bootstrap(&self, voters: &[NodeId]) -> Result<(), GroupError> {
        if self.raft.is_initialized().await.map_err(|error| stopped(&error))? {
            return self.raft.trigger().elect(true).await.map_err(|error| stopped(&error));
        }
        let members: BTreeMap<u64, EmptyNode> = voters.iter().map(|voter| (voter.0, EmptyNode {})).collect();
        self.raft.initialize(members).await.map_err(|error| stopped(&error))
    }

    /// Waits until somebody leads.
    ///
    /// # Errors
    /// [`GroupError::NoLeader`] after `deadline`.
    pub async fn wait_leader(&self, deadline: Duration) -> Result<(), GroupError> {
        let waited = self.raft.wait(Some(deadline)).metrics(|metrics| metrics.current_leader.is_some(), "a leader").await;
        waited.map(drop).map_err(|_late| GroupError::NoLeader(deadline))
    }

    /// Puts a command into the log; returns when it is committed on a quorum and applied here.
    ///
    /// # Errors
    /// [`GroupError`]; only `Stopped` leaves the outcome open.
    pub async fn propose(&self, kind: EntryKind, payload: Bytes) -> Result<Applied, GroupError> {
        let command = Command { kind: kind as u8, payload };
        match self.raft.client_write(command).await {
            Ok(written) => Ok(Applied { lsn: Lsn(written.log_id.index), answer: written.data.0 }),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                Err(GroupError::NotLeader { leader: forward.leader_id.map(NodeId) })
            }
            Err(error) => Err(stopped(&error)),
        }
    }

    /// Confirms leadership with a quorum and waits until everything committed before is applied.
    ///
    /// # Errors
    /// [`GroupError`].
    pub async fn read_index(&self) -> Result<(), GroupError> {
        self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await.map(drop).map_err(|error| stopped(&error))
    }

    /// Keeps a snapshot of the state as it is now, then lets go of entries up to and with `lsn`.
    ///
    /// # Errors
    /// [`GroupError::Stopped`].
    pub async fn purge_upto(&self, lsn: Lsn) -> Result<(), GroupError> {
        self.raft.trigger().snapshot().await.map_err(|error| stopped(&error))?;
        let kept = |metrics: &openraft::RaftMetrics<Types>| metrics.snapshot.is_some_and(|last| last.index >= lsn.0);
        let waited = self.raft.wait(Some(Duration::from_secs(10))).metrics(kept, "a snapshot").await;
        waited.map_err(|error| stopped(&error))?;
        self.raft.trigger().purge_log(lsn.0).await.map_err(|error| stopped(&error))?;
        let gone = |metrics: &openraft::RaftMetrics<Types>| metrics.purged.is_some_and(|last| last.index >= lsn.0);
        self.raft.wait(Some(Duration::from_secs(10))).metrics(gone, "a purge").await.map(drop).map_err(|error| stopped(&error))
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

fn stopped(error: &impl ToString) -> GroupError {
    GroupError::Stopped(error.to_string())
}

impl From<GroupError> for io::Error {
    fn from(error: GroupError) -> Self {
        Self::other(error)
    }
}
