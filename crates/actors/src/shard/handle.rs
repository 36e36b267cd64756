//! What others may ask of a shard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use ractor::ActorRef;
use ractor::rpc::CallResult;
use tokio::sync::watch;
use watershed_cluster::{Group, GroupError};
use watershed_hot::{ScanRequest, Store};
use watershed_schema::{EntryKind, EventBatch, Positions, Seq, ShardId, Term, proto};

use super::actor::Message;
use super::error::{AppendError, ReadError};
use super::machine::{ACCEPTED, Committed};
use crate::Permit;
use crate::store::Disk;

/// How long an append may wait for its commit before its outcome is called unknown.
const APPEND_DEADLINE: Duration = Duration::from_secs(10);
const DISK_FULL_RETRY: Duration = Duration::from_secs(1);

/// How a shard behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardSettings {
    pub(crate) hot_retention: Duration,
}

/// A range whose rows stand in data files that no snapshot names yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StagedFiles {
    pub(crate) from_seq: Seq,
    pub(crate) to_seq: Seq,
    /// In the lake's own form.
    pub(crate) files: Vec<String>,
}

/// A committed append.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Events that are new.
    pub events: u64,
    /// Events that were here already.
    pub duplicates: u64,
}

/// Committed events, in order.
#[derive(Clone, Debug)]
pub struct Page {
    /// Batches with the number of their first event; the first may begin before what was asked for.
    pub blocks: Vec<(Seq, Arc<EventBatch>)>,
    /// Where to go on; nothing wanted lies between the last block and here.
    pub next: Seq,
}

/// A shard of this node. Cheap to clone.
#[derive(Clone)]
pub struct ShardHandle {
    pub(crate) id: ShardId,
    pub(crate) actor: ActorRef<Message>,
    pub(crate) group: Group,
    pub(crate) store: Store,
    pub(crate) disk: Arc<Disk>,
    pub(crate) committed: Arc<Committed>,
}

impl std::fmt::Debug for ShardHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ShardHandle({})", self.id)
    }
}

impl ShardHandle {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Where it stands now.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.committed.state().positions
    }

    /// Where it stands, whenever that changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Positions> {
        self.committed.watch()
    }

    /// Raft term of the group.
    #[must_use]
    pub fn term(&self) -> Term {
        self.group.term()
    }

    /// Whether its disk is full, so that appends are refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.disk.is_full()
    }

    /// Bytes of its files.
    ///
    /// # Errors
    /// [`ReadError::Hot`] when the files cannot be looked at.
    pub fn hot_bytes(&self) -> Result<u64, ReadError> {
        Ok(self.store.stats()?.bytes)
    }

    /// When the oldest event was applied that stands in no data file yet.
    pub(crate) fn unstaged_since(&self) -> Option<Instant> {
        let state = self.committed.state();
        let staged = state.positions.staged();
        state.ages.iter().find(|age| age.tail > staged).map(|age| age.applied)
    }

    /// How long the oldest event that is in no snapshot has waited.
    #[must_use]
    pub fn archive_lag(&self) -> Duration {
        let state = self.committed.state();
        let archived = state.positions.archived();
        state.ages.iter().find(|age| age.tail > archived).map_or(Duration::ZERO, |age| age.applied.elapsed())
    }

    /// Appends; returns when the events are committed.
    ///
    /// # Errors
    /// [`AppendError`]; only `Unknown` may have written something.
    pub async fn append(&self, batch: EventBatch, permit: Arc<Permit>) -> Result<Appended, AppendError> {
        let shard = self.id;
        if self.disk.is_full() {
            return Err(AppendError::DiskFull { shard, retry_after: DISK_FULL_RETRY });
        }
        let unknown = |reason: &str| Err(AppendError::Unknown { shard, reason: reason.to_owned() });
        let message = |reply| Message::Append { batch: Arc::new(batch), permit, reply };
        match self.actor.call(message, Some(APPEND_DEADLINE)).await {
            Ok(CallResult::Success(result)) => result,
            Ok(CallResult::Timeout) if self.disk.is_full() => Err(AppendError::DiskFull { shard, retry_after: DISK_FULL_RETRY }),
            Ok(CallResult::Timeout) => unknown("no commit within the deadline"),
            Ok(CallResult::SenderError) => unknown("the shard stopped before it answered"),
            Err(_not_sent) => Err(AppendError::Stopped { shard }),
        }
    }

    /// The committed tail, confirmed by a quorum: a read up to here sees every append acknowledged before.
    ///
    /// # Errors
    /// [`ReadError::NoLeader`] when leadership cannot be confirmed.
    pub async fn read_index(&self) -> Result<Seq, ReadError> {
        self.group.read_index().await.map_err(|error| ReadError::NoLeader(error.to_string()))?;
        Ok(self.positions().tail())
    }

    /// Committed events from `request.from_seq` on: from memory near the tail, else from disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(&self, mut request: ScanRequest) -> Result<Page, ReadError> {
        request.to_seq_exclusive = request.to_seq_exclusive.min(self.positions().tail());
        if request.from_seq >= request.to_seq_exclusive {
            return Ok(Page { blocks: Vec::new(), next: request.from_seq });
        }
        let from_memory = self.committed.state().recent.read(&request);
        if let Some(page) = from_memory {
            return Ok(page);
        }
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || scan(&store, &request)).await.map_err(|_joined| ReadError::Stopped)?
    }

    /// Headers of committed batches that may match, with the number of their first event; no batch is opened.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn heads(&self, mut request: ScanRequest) -> Result<Vec<(Seq, proto::BatchHeader)>, ReadError> {
        request.to_seq_exclusive = request.to_seq_exclusive.min(self.positions().tail());
        if request.from_seq >= request.to_seq_exclusive {
            return Ok(Vec::new());
        }
        let store = self.store.clone();
        let heads = tokio::task::spawn_blocking(move || store.heads(&request)).await.map_err(|_joined| ReadError::Stopped)?;
        Ok(heads?)
    }

    /// Ranges that wait for a snapshot.
    pub(crate) fn staged(&self) -> Vec<StagedFiles> {
        self.committed.state().staged.iter().cloned().collect()
    }

    /// Puts a written range into the log. `false`: it is not the next one, somebody else was faster.
    pub(crate) async fn stage(&self, range: &StagedFiles) -> Result<bool, GroupError> {
        self.propose(EntryKind::Staged, range.to_proto().encode_to_vec()).await
    }

    /// Tells the log that a snapshot holds everything below. `false`: it knew.
    pub(crate) async fn archived(&self, to_seq_exclusive: Seq, snapshot_id: i64) -> Result<bool, GroupError> {
        let archived = proto::Archived { to_seq_exclusive: to_seq_exclusive.0, snapshot_id };
        self.propose(EntryKind::Archived, archived.encode_to_vec()).await
    }

    async fn propose(&self, kind: EntryKind, payload: Vec<u8>) -> Result<bool, GroupError> {
        let applied = self.group.propose(kind, Bytes::from(payload)).await?;
        Ok(applied.answer == ACCEPTED)
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

impl StagedFiles {
    pub(crate) fn to_proto(&self) -> proto::Staged {
        proto::Staged { from_seq_inclusive: self.from_seq.0, to_seq_exclusive: self.to_seq.0, files: self.files.clone() }
    }

    pub(crate) fn from_proto(staged: &proto::Staged) -> Self {
        Self { from_seq: Seq(staged.from_seq_inclusive), to_seq: Seq(staged.to_seq_exclusive), files: staged.files.clone() }
    }
}
