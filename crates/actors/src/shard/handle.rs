//! A shard as seen from any node: its replica here where there is one, else a call to the node that leads.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::watch;
use watershed_cluster::GroupError;
use watershed_hot::ScanRequest;
use watershed_lake::{Staged, StagedFile};
use watershed_schema::proto::peer_refusal::Reason;
use watershed_schema::proto::{
    BatchHeader, DeadLetter, PeerAnswer, PeerAppend, PeerPage, PeerPartial, PeerPositions, PeerPropose, PeerStates, PeerTail,
};
use watershed_schema::{EntryKind, EventBatch, NodeId, Positions, Seq, ShardId, proto};

use super::error::{AppendError, ReadError};
use super::machine::ACCEPTED;
use super::mirror::Mirror;
use super::replica::{APPEND_DEADLINE, READ_DEADLINE, Replica};
use super::wire;
use crate::route::{Route, Unanswered};
use crate::{Ask, Permit};

const PROPOSE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a question for news waits where nothing happens.
const TAIL_WAIT: Duration = Duration::from_secs(2);

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
    /// In the lake's own form, tens of kilobytes each. Shared: every mark of the past holds what was staged then.
    pub(crate) files: Arc<Staged>,
    /// Those of its rows that the lake refused for good. Boxed: marks hold hundreds of ranges, and hardly one has a letter.
    pub(crate) letter: Option<Box<DeadLetter>>,
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

/// A shard of the cluster. Cheap to clone.
#[derive(Clone)]
pub struct ShardHandle {
    id: ShardId,
    /// Shared: every stream has a handle for each of its shards.
    route: Arc<Route>,
    mirror: Arc<Mirror>,
}

impl std::fmt::Debug for ShardHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ShardHandle({})", self.id)
    }
}

impl ShardHandle {
    pub(crate) fn new(id: ShardId, route: Route) -> Self {
        Self { id, route: Arc::new(route), mirror: Mirror::new() }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Its replica on this node, whatever state it is in.
    #[must_use]
    pub fn replica(&self) -> Option<Replica> {
        self.route.gateway.replica(self.id)
    }

    pub(crate) fn route(&self) -> &Route {
        &self.route
    }

    /// The replica to read: one that still catches up for the first time knows too little.
    pub(crate) fn here(&self) -> Option<Replica> {
        self.replica().filter(Replica::is_voter)
    }

    /// The replica that leads, if this node does.
    pub(crate) fn leading(&self) -> Option<Replica> {
        self.replica().filter(Replica::is_leader)
    }

    /// Where it stands, as far as is known here.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.here().map_or_else(|| self.mirror.positions(), |replica| replica.positions())
    }

    /// Where it stands, whenever that changes. A replica may come or go: ask again now and then.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Positions> {
        self.here().map_or_else(|| self.mirror.watch(self), |replica| replica.watch())
    }

    /// Appends on the leader, wherever it is; returns when the events are committed.
    ///
    /// # Errors
    /// [`AppendError`]; only `Unknown` may have written something.
    pub async fn append(&self, batch: EventBatch, permit: Arc<Permit>) -> Result<Appended, AppendError> {
        let shard = self.id;
        let batch = Arc::new(batch);
        let attempt = |leader, left| self.append_at(leader, Arc::clone(&batch), Arc::clone(&permit), left);
        let nobody = || AppendError::NotLeader { shard, leader: None };
        // After an unknown outcome, too: events that are there already are recognised.
        let again = |error: &AppendError| {
            matches!(error, AppendError::NotLeader { .. } | AppendError::Stopped { .. } | AppendError::Unknown { .. })
        };
        let is_alone = self.replica().is_some_and(|replica| replica.is_alone());
        self.route.until_led(APPEND_DEADLINE, nobody, attempt, |error| !is_alone && again(error)).await
    }

    async fn append_at(
        &self,
        leader: NodeId,
        batch: Arc<EventBatch>,
        permit: Arc<Permit>,
        left: Duration,
    ) -> Result<Appended, AppendError> {
        if leader == self.route.me {
            let replica = self.replica().ok_or(AppendError::NotLeader { shard: self.id, leader: None })?;
            return replica.append(batch, permit).await;
        }
        let body = Bytes::from(PeerAppend { batch: Some(batch.seal()) }.encode_to_vec());
        let answer = self.route.ask(leader, Ask::Append, body, left).await.map_err(|error| self.not_appended(error))?;
        Ok(Appended { events: answer.events, duplicates: answer.duplicates })
    }

    fn not_appended(&self, error: Unanswered) -> AppendError {
        let shard = self.id;
        let Unanswered::Refused(refusal) = error else {
            let reason = error.to_string();
            return if error.is_elsewhere() {
                AppendError::NotLeader { shard, leader: None }
            } else {
                AppendError::Unknown { shard, reason }
            };
        };
        let retry_after = Duration::from_millis(refusal.retry_after_ms);
        match refusal.reason() {
            Reason::NotLeader => {
                AppendError::NotLeader { shard, leader: Some(NodeId(refusal.leader)).filter(|leader| leader.0 > 0) }
            }
            Reason::Busy => AppendError::Busy { shard, reason: refusal.text, retry_after },
            Reason::DiskFull => AppendError::DiskFull { shard, retry_after },
            Reason::Stopped => AppendError::Stopped { shard },
            Reason::Unspecified | Reason::Unknown | Reason::Invalid | Reason::Trimmed => {
                AppendError::Unknown { shard, reason: refusal.text }
            }
        }
    }

    /// Where the shard stands, confirmed by a quorum: a read up to its tail sees every append acknowledged before.
    ///
    /// # Errors
    /// [`ReadError::NoLeader`] when leadership cannot be confirmed.
    pub async fn read_index(&self) -> Result<Positions, ReadError> {
        self.of_leader(|leader, left| self.read_index_at(leader, left)).await
    }

    async fn read_index_at(&self, leader: NodeId, left: Duration) -> Result<Positions, ReadError> {
        if leader == self.route.me {
            return self.at_home()?.read_index().await;
        }
        let answer = self.question(leader, Ask::ReadIndex, Bytes::new(), left).await?;
        let told = self.positions_of(answer.positions.as_ref())?;
        // What is trimmed here is trimmed for those who read here.
        match self.here() {
            Some(replica) => {
                replica.applied(told.tail()).await?;
                Ok(replica.positions())
            }
            None => Ok(told),
        }
    }

    /// Committed events from `request.from_seq` on.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(&self, request: ScanRequest) -> Result<Page, ReadError> {
        match self.here() {
            Some(replica) => replica.read(request).await,
            None => wire::page_of(self.scan_elsewhere(Ask::Scan, &request).await?).map_err(ReadError::NoLeader),
        }
    }

    /// Headers of committed batches that may match, with the number of their first event; no batch is opened.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn heads(&self, request: ScanRequest) -> Result<Vec<(Seq, BatchHeader)>, ReadError> {
        match self.here() {
            Some(replica) => replica.heads(request).await,
            None => Ok(wire::heads_of(self.scan_elsewhere(Ask::Heads, &request).await?)),
        }
    }

    /// Whether its events are read on this node.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.here().is_some()
    }

    /// Has the node that leads aggregate committed events, for a moment.
    ///
    /// # Errors
    /// [`ReadError`]; after [`ReadError::Refused`] the events can still be read.
    pub async fn partial(&self, asked: &PeerPartial) -> Result<PeerStates, ReadError> {
        let body = Bytes::from(asked.encode_to_vec());
        let attempt = async |leader, left| match self.route.ask(leader, Ask::Partial, body.clone(), left).await {
            Ok(answer) => answer.states.ok_or_else(|| ReadError::Refused("no states came".to_owned())),
            Err(error) if error.is_elsewhere() => Err(of_read(error)),
            Err(error) => match of_read(error) {
                // A node of an older version does not know the question.
                ReadError::NoLeader(reason) => Err(ReadError::Refused(reason)),
                trimmed => Err(trimmed),
            },
        };
        self.of_leader(attempt).await
    }

    async fn scan_elsewhere(&self, ask: Ask, request: &ScanRequest) -> Result<PeerPage, ReadError> {
        let body = Bytes::from(wire::scan(request).encode_to_vec());
        let asked = |leader, left| self.question(leader, ask, body.clone(), left);
        Ok(self.of_leader(asked).await?.page.unwrap_or_default())
    }

    /// Where it stands as soon as that is beyond `after`, from the node that leads.
    pub(super) async fn tail_elsewhere(&self, after: Seq) -> Result<Positions, ReadError> {
        let wait_ms = u32::try_from(TAIL_WAIT.as_millis()).unwrap_or(u32::MAX);
        let body = Bytes::from(PeerTail { after_seq: after.0, wait_ms }.encode_to_vec());
        let asked = |leader, left| self.question(leader, Ask::Tail, body.clone(), left);
        self.positions_of(self.of_leader(asked).await?.positions.as_ref())
    }

    /// Where it stands and which ranges wait for a snapshot, confirmed by a quorum.
    pub(crate) async fn staged(&self) -> Result<(Positions, Vec<StagedFiles>), ReadError> {
        self.of_leader(|leader, left| self.staged_at(leader, left)).await
    }

    async fn staged_at(&self, leader: NodeId, left: Duration) -> Result<(Positions, Vec<StagedFiles>), ReadError> {
        if leader == self.route.me {
            let replica = self.at_home()?;
            return Ok((replica.read_index().await?, replica.staged()));
        }
        let answer = self.question(leader, Ask::Staged, Bytes::new(), left).await?;
        let PeerAnswer { staged, positions, .. } = answer;
        Ok((self.positions_of(positions.as_ref())?, staged.into_iter().map(StagedFiles::from_proto).collect()))
    }

    /// Rows of it that the lake refused for good, confirmed by a quorum.
    pub(crate) async fn dead_letters(&self) -> Result<Arc<Vec<DeadLetter>>, ReadError> {
        self.of_leader(|leader, left| self.dead_letters_at(leader, left)).await
    }

    async fn dead_letters_at(&self, leader: NodeId, left: Duration) -> Result<Arc<Vec<DeadLetter>>, ReadError> {
        if leader == self.route.me {
            let replica = self.at_home()?;
            replica.read_index().await?;
            return Ok(replica.dead_letters());
        }
        Ok(Arc::new(self.question(leader, Ask::Letters, Bytes::new(), left).await?.dead_letters))
    }

    /// Asks whoever leads, until somebody who does answers.
    async fn of_leader<T, F>(&self, attempt: impl FnMut(NodeId, Duration) -> F) -> Result<T, ReadError>
    where
        F: Future<Output = Result<T, ReadError>>,
    {
        let nobody = || ReadError::NoLeader("nobody leads".to_owned());
        let is_alone = self.replica().is_some_and(|replica| replica.is_alone());
        let again = |error: &ReadError| matches!(error, ReadError::NoLeader(_)) && !is_alone;
        self.route.until_led(READ_DEADLINE, nobody, attempt, again).await
    }

    fn at_home(&self) -> Result<Replica, ReadError> {
        self.replica().ok_or_else(|| ReadError::NoLeader("the replica went".to_owned()))
    }

    async fn question(&self, to: NodeId, ask: Ask, body: Bytes, left: Duration) -> Result<PeerAnswer, ReadError> {
        self.route.ask(to, ask, body, left).await.map_err(of_read)
    }

    fn positions_of(&self, told: Option<&PeerPositions>) -> Result<Positions, ReadError> {
        let told = told.and_then(wire::positions_of);
        let told = told.ok_or_else(|| ReadError::NoLeader("positions out of order".to_owned()))?;
        self.mirror.heard(told);
        Ok(told)
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

    /// Tells the log what became of a letter. `false`: the log names another file by now.
    pub(crate) async fn change_letter(&self, file: &str, now: Option<DeadLetter>) -> Result<bool, GroupError> {
        let change = proto::DeadLetterChange { file: file.to_owned(), now };
        self.propose(EntryKind::DeadLetter, change.encode_to_vec()).await
    }

    async fn propose(&self, kind: EntryKind, payload: Vec<u8>) -> Result<bool, GroupError> {
        Ok(propose(&self.route, kind, Bytes::from(payload)).await? == ACCEPTED)
    }
}

fn of_read(error: Unanswered) -> ReadError {
    match error {
        Unanswered::Refused(refusal) if refusal.reason() == Reason::Trimmed => {
            ReadError::Trimmed { first: Seq(refusal.first_seq) }
        }
        other => ReadError::NoLeader(other.to_string()),
    }
}

/// Puts a command into a group's log, on its leader; what applying it answered.
pub(crate) async fn propose(route: &Route, kind: EntryKind, payload: Bytes) -> Result<Bytes, GroupError> {
    let leader = route.leader().ok_or(GroupError::NotLeader { leader: None })?;
    if leader == route.me {
        let group = route.group().ok_or(GroupError::NotLeader { leader: None })?;
        return Ok(group.propose(kind, payload).await?.answer);
    }
    let asked = PeerPropose { kind: u32::from(kind as u8), payload };
    match route.ask(leader, Ask::Propose, Bytes::from(asked.encode_to_vec()), PROPOSE_DEADLINE).await {
        Ok(answer) => Ok(answer.applied),
        Err(error) if error.is_elsewhere() => Err(GroupError::NotLeader { leader: None }),
        Err(_unknown) => Err(GroupError::Unknown),
    }
}

impl StagedFiles {
    pub(crate) fn to_proto(&self) -> proto::Staged {
        let text = |files: &[StagedFile]| files.iter().map(|file| file.0.clone()).collect();
        let own = |(tenant, files): (&String, &Vec<StagedFile>)| proto::StagedOwn { tenant: tenant.clone(), files: text(files) };
        proto::Staged {
            from_seq_inclusive: self.from_seq.0,
            to_seq_exclusive: self.to_seq.0,
            files: text(&self.files.shared),
            own: self.files.own.iter().map(own).collect(),
            dead_letter: self.letter.as_deref().cloned(),
        }
    }

    pub(crate) fn from_proto(staged: proto::Staged) -> Self {
        let files = |texts: Vec<String>| texts.into_iter().map(StagedFile).collect();
        let own = staged.own.into_iter().map(|own| (own.tenant, files(own.files))).collect();
        let (from_seq, to_seq) = (Seq(staged.from_seq_inclusive), Seq(staged.to_seq_exclusive));
        let letter = staged.dead_letter.map(Box::new);
        Self { from_seq, to_seq, files: Arc::new(Staged { shared: files(staged.files), own }), letter }
    }
}
