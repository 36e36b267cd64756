//! A shard's replica on this node: one owner of its appends, many readers of what is committed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::ActorRef;
use ractor::rpc::CallResult;
use tokio::sync::watch;
use watershed_cluster::{Group, GroupError, Status};
use watershed_hot::{ScanRequest, Store};
use watershed_schema::{EventBatch, NodeId, Positions, Seq, ShardId, Term, proto};

use super::actor::Message;
use super::error::{AppendError, ReadError};
use super::handle::{Appended, Page, StagedFiles};
use super::machine::Committed;
use crate::store::Disk;
use crate::{Backlog, Permit};

/// How long an append may wait for its commit before its outcome is called unknown.
pub(crate) const APPEND_DEADLINE: Duration = Duration::from_secs(10);
/// How long a read may wait for a leader and for a replica to catch up.
pub(crate) const READ_DEADLINE: Duration = Duration::from_secs(5);
const DISK_FULL_RETRY: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Cheap to clone.
#[derive(Clone)]
pub struct Replica {
    pub(super) id: ShardId,
    pub(super) me: NodeId,
    pub(super) actor: ActorRef<Message>,
    pub(super) group: Group,
    pub(super) store: Store,
    pub(super) disk: Arc<Disk>,
    pub(super) committed: Arc<Committed>,
    pub(super) backlog: Backlog,
}

impl Replica {
    /// The shard's number.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Where it stands now.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.committed.state().positions
    }

    /// Whether its disk is full, so that appends are refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.disk.is_full()
    }

    /// Bytes of its files.
    #[must_use]
    pub fn hot_bytes(&self) -> u64 {
        self.store.bytes()
    }

    /// How long the oldest event that is in no snapshot has waited.
    #[must_use]
    pub fn archive_lag(&self) -> Duration {
        let state = self.committed.state();
        let archived = state.positions.archived();
        state.ages.since(archived).map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// What it knows of its group.
    #[must_use]
    pub fn status(&self) -> Status {
        self.group.status()
    }

    /// Where it stands, whenever that changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Positions> {
        self.committed.watch()
    }

    /// When the oldest event was applied that stands in no data file yet.
    pub(crate) fn unstaged_since(&self) -> Option<Instant> {
        let state = self.committed.state();
        state.ages.since(state.positions.staged())
    }

    /// Ranges that wait for a snapshot.
    pub(crate) fn staged(&self) -> Vec<StagedFiles> {
        self.committed.state().staged.iter().cloned().collect()
    }

    /// Rows of it that the lake refused for good.
    #[must_use]
    pub fn dead_letters(&self) -> Arc<Vec<proto::DeadLetter>> {
        Arc::clone(&self.committed.state().letters)
    }

    /// The term in which this node leads, if it does: nobody else ever leads in it.
    pub(crate) fn leads_in(&self) -> Option<Term> {
        let status = self.group.status();
        (status.leader == Some(self.me)).then_some(status.term)
    }

    /// Whether this node leads the shard, as far as it knows.
    pub(crate) fn is_leader(&self) -> bool {
        self.group.leader() == Some(self.me)
    }

    /// Whether it has caught up once: only then is it made a voter.
    pub(crate) fn is_voter(&self) -> bool {
        self.group.status().voters.contains(&self.me)
    }

    /// Whether there is no other.
    pub(crate) fn is_alone(&self) -> bool {
        self.group.status().voters.len() <= 1
    }

    /// Why this node does not do what a leader does.
    pub(crate) fn not_leader(&self) -> GroupError {
        GroupError::NotLeader { leader: self.group.leader().filter(|leader| *leader != self.me) }
    }

    /// Appends if this node leads; returns when the events are committed.
    ///
    /// # Errors
    /// [`AppendError`]; only `Unknown` may have written something.
    pub(crate) async fn append(&self, batch: Arc<EventBatch>, permit: Arc<Permit>) -> Result<Appended, AppendError> {
        let shard = self.id;
        if self.disk.is_full() {
            return Err(AppendError::DiskFull { shard, retry_after: DISK_FULL_RETRY });
        }
        if let Err(full) = self.backlog.check() {
            return Err(AppendError::ArchiveBehind { shard, reason: full.to_string(), retry_after: full.retry_after });
        }
        let unknown = |reason: &str| Err(AppendError::Unknown { shard, reason: reason.to_owned() });
        let message = |reply| Message::Append { batch, permit, reply };
        match self.actor.call(message, Some(APPEND_DEADLINE)).await {
            Ok(CallResult::Success(result)) => result,
            Ok(CallResult::Timeout) if self.disk.is_full() => Err(AppendError::DiskFull { shard, retry_after: DISK_FULL_RETRY }),
            Ok(CallResult::Timeout) => unknown("no commit within the deadline"),
            Ok(CallResult::SenderError) => unknown("the shard stopped before it answered"),
            Err(_not_sent) => Err(AppendError::Stopped { shard }),
        }
    }

    /// If this node leads: where the shard stands, confirmed by a quorum and applied here.
    ///
    /// # Errors
    /// [`ReadError::NoLeader`] when leadership cannot be confirmed.
    pub(crate) async fn read_index(&self) -> Result<Positions, ReadError> {
        self.group.read_index().await.map_err(|error| ReadError::NoLeader(error.to_string()))?;
        Ok(self.positions())
    }

    /// Committed events from `request.from_seq` on: from memory near the tail, else from disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn read(&self, mut request: ScanRequest) -> Result<Page, ReadError> {
        request.to_seq_exclusive = self.applied(request.to_seq_exclusive).await?;
        if request.from_seq >= request.to_seq_exclusive {
            return Ok(Page { blocks: Vec::new(), next: request.from_seq });
        }
        let from_memory = self.committed.state().recent.read(&request);
        if let Some(page) = from_memory {
            return Ok(page);
        }
        self.durable(request.to_seq_exclusive).await?;
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || scan(&store, &request)).await.map_err(|_joined| ReadError::Stopped)?
    }

    /// Headers of committed batches that may match, with the number of their first event; no batch is opened.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn heads(&self, mut request: ScanRequest) -> Result<Vec<(Seq, proto::BatchHeader)>, ReadError> {
        request.to_seq_exclusive = self.applied(request.to_seq_exclusive).await?;
        if request.from_seq >= request.to_seq_exclusive {
            return Ok(Vec::new());
        }
        self.durable(request.to_seq_exclusive).await?;
        let store = self.store.clone();
        let heads = tokio::task::spawn_blocking(move || store.heads(&request)).await.map_err(|_joined| ReadError::Stopped)?;
        Ok(heads?)
    }

    /// Waits until everything below `to` is applied here; where nobody said how far, what is applied now is all.
    pub(crate) async fn applied(&self, to: Seq) -> Result<Seq, ReadError> {
        if to == Seq(u64::MAX) {
            return Ok(self.positions().tail());
        }
        let mut positions = self.watch();
        let behind = || ReadError::NoLeader(format!("this replica is behind: {} of {to}", self.positions().tail()));
        match tokio::time::timeout(READ_DEADLINE, positions.wait_for(|now| now.tail() >= to)).await {
            Ok(Ok(_)) => Ok(to),
            Ok(Err(_closed)) => Err(ReadError::Stopped),
            Err(_late) => Err(behind()),
        }
    }

    /// Waits until events below `to` are in this replica's file: a leader applies what two others have on disk, maybe
    /// before its own disk does.
    async fn durable(&self, to: Seq) -> Result<(), ReadError> {
        let end = Instant::now() + READ_DEADLINE;
        while self.store.stats()?.next_seq < to {
            if Instant::now() > end {
                return Err(ReadError::NoLeader("this replica's disk is behind".to_owned()));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Ends the actor, then the group; what was acknowledged is on disk already.
    pub(crate) async fn stop(&self) {
        crate::supervisor::join(&self.actor).await;
        if let Err(error) = self.group.shutdown().await {
            tracing::warn!(shard = %self.id, %error, "group did not stop cleanly");
        }
    }
}

fn scan(store: &Store, request: &ScanRequest) -> Result<Page, ReadError> {
    let page = store.scan(request)?;
    let open = |block: &watershed_hot::Block| {
        let batch = EventBatch::open(&block.batch).expect("invariant: the store checks every entry's checksum");
        (block.first_seq, Arc::new(batch))
    };
    Ok(Page { blocks: page.blocks.iter().map(open).collect(), next: page.next_seq })
}
