//! A [`StateMachine`] as openraft drives it; its snapshot is kept beside the log.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use watershed_schema::{Lsn, Seq};

use super::log::{PURGED, durable, put};
use super::storage::{Base, ReplicaStore, StateMachine};
use super::types::{Answer, Membership, Position, Types, json, kind_of, position};

type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;
type Snapshot = openraft::Snapshot<super::types::CommittedLeader, u64, openraft::EmptyNode, Bytes>;

const SNAPSHOT: &str = "raft.snapshot";
const SEQ_BYTES: usize = 8;

/// A snapshot as it is kept.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    last: Option<Position>,
    membership: Membership,
    /// Number of the first event behind `last`. Nodes that were alone did not keep it.
    #[serde(default)]
    next_seq: Option<Seq>,
    state: Bytes,
}

impl Kept {
    /// As it travels: the number, then the state.
    fn snapshot(self, store: &dyn ReplicaStore) -> io::Result<Snapshot> {
        let next_seq = match (self.next_seq, self.last) {
            (Some(next_seq), _) => next_seq,
            (None, Some(last)) => store.next_seq_after(Lsn(last.index))?,
            (None, None) => Seq::FIRST,
        };
        let meta = SnapshotMeta { last_log_id: self.last, last_membership: self.membership };
        Ok(Snapshot { meta, snapshot: Bytes::from([&next_seq.0.to_le_bytes()[..], &self.state].concat()) })
    }

    fn arrived(meta: &SnapshotMeta, mut snapshot: Bytes) -> io::Result<Self> {
        let next_seq = *snapshot.first_chunk::<SEQ_BYTES>().ok_or(io::ErrorKind::UnexpectedEof)?;
        let (next_seq, state) = (Some(Seq(u64::from_le_bytes(next_seq))), snapshot.split_off(SEQ_BYTES));
        Ok(Self { last: meta.last_log_id, membership: meta.last_membership.clone(), next_seq, state })
    }
}

/// Up to which entry the next snapshot goes, counted from 1; 0 until somebody set it. Cheap to clone.
///
/// A snapshot ends where the log will begin: a replica that installs it must get every entry behind the purge point,
/// because rows that are not in the lake yet are only there.
#[derive(Clone, Default)]
pub(crate) struct SnapshotPoint(Arc<AtomicU64>);

impl SnapshotPoint {
    pub(crate) fn set(&self, lsn: Lsn) {
        self.0.store(lsn.0 + 1, Ordering::Release);
    }

    /// The point, unless nobody set one or it is not applied yet: then everything that is.
    fn or_applied(&self, applied: Option<Position>) -> Option<Lsn> {
        let applied = applied?.index;
        let point = self.0.load(Ordering::Acquire).checked_sub(1);
        Some(Lsn(point.map_or(applied, |point| point.min(applied))))
    }
}

/// The state of one replica.
pub(crate) struct Machine {
    store: Arc<dyn ReplicaStore>,
    state: Box<dyn StateMachine>,
    last: Option<Position>,
    /// Those that count from the last snapshot on, oldest first; never empty.
    memberships: Vec<Membership>,
    point: SnapshotPoint,
    /// A snapshot is built beside the machine, and one may be installed meanwhile: the older must not be kept last.
    keeping: Arc<Mutex<()>>,
}

impl Machine {
    /// Starts from the kept snapshot, if there is one; the log does the rest.
    pub(crate) fn open(store: Arc<dyn ReplicaStore>, state: Box<dyn StateMachine>, point: SnapshotPoint) -> io::Result<Self> {
        let mut machine =
            Self { store, state, last: None, memberships: vec![Membership::default()], point, keeping: Arc::default() };
        if let Some(kept) = kept(&*machine.store)? {
            machine.restore(&kept)?;
        }
        Ok(machine)
    }

    fn restore(&mut self, kept: &Kept) -> io::Result<()> {
        self.state.restore(&kept.state)?;
        (self.last, self.memberships) = (kept.last, vec![kept.membership.clone()]);
        Ok(())
    }

    fn membership(&self) -> &Membership {
        self.memberships.last().expect("invariant: there is always a membership")
    }

    /// The membership that counts behind the entry `at`; older ones are forgotten.
    fn membership_at(&mut self, at: Lsn) -> Membership {
        let behind = |membership: &Membership| membership.log_id().is_none_or(|log_id| log_id.index <= at.0);
        let newer = self.memberships.partition_point(behind);
        drop(self.memberships.drain(..newer.saturating_sub(1)));
        self.memberships.first().expect("invariant: there is always a membership").clone()
    }

    /// Position of an applied entry.
    fn position(&self, at: Lsn) -> io::Result<Position> {
        if let Some(last) = self.last.filter(|last| last.index == at.0) {
            return Ok(last);
        }
        let record = self.store.records(at, Lsn(at.0 + 1), usize::MAX)?.pop().ok_or(io::ErrorKind::NotFound)?;
        Ok(position(record.lsn, record.term))
    }

    /// The snapshot that is asked for; the one that is kept when it goes as far.
    fn snapshot(&mut self) -> io::Result<Kept> {
        let Some(at) = self.point.or_applied(self.last) else {
            let (membership, state) = (self.membership().clone(), self.state.snapshot(Lsn(0))?);
            return Ok(Kept { last: None, membership, next_seq: Some(Seq::FIRST), state });
        };
        let old = kept(&*self.store)?.filter(|kept| kept.last.is_some_and(|last| last.index >= at.0));
        if let Some(old) = old {
            return Ok(old);
        }
        let (next_seq, state) = (Some(self.store.next_seq_after(at)?), self.state.snapshot(at)?);
        Ok(Kept { last: Some(self.position(at)?), membership: self.membership_at(at), next_seq, state })
    }
}

fn kept(store: &dyn ReplicaStore) -> io::Result<Option<Kept>> {
    store.meta(SNAPSHOT)?.map(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::other)).transpose()
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<Position>, Membership)> {
        Ok((self.last, self.membership().clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            self.last = Some(entry.log_id);
            let answer = match entry.payload {
                EntryPayload::Blank => Bytes::new(),
                EntryPayload::Normal(command) => {
                    self.state.apply(Lsn(entry.log_id.index), kind_of(command.kind), &command.payload)
                }
                EntryPayload::Membership(membership) => {
                    self.memberships.push(Membership::new(Some(entry.log_id), membership));
                    Bytes::new()
                }
            };
            if let Some(responder) = responder {
                responder.send(Answer(answer));
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { store: Arc::clone(&self.store), kept: Some(self.snapshot()), keeping: Arc::clone(&self.keeping) }
    }

    /// The log begins again in the same step in which the snapshot is kept: after a crash there are both or none.
    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Bytes) -> io::Result<()> {
        let kept = Kept::arrived(meta, snapshot)?;
        let keeping = Arc::clone(&self.keeping);
        let _one_at_a_time = keeping.lock().await;
        if let (Some(last), Some(next_seq)) = (kept.last, kept.next_seq) {
            let base = Base { lsn: Lsn(last.index), next_seq };
            let values = vec![(SNAPSHOT.to_owned(), json(&kept)), (PURGED.to_owned(), json(&last))];
            durable(|done| self.store.install(base, values, done)).await?;
        }
        self.restore(&kept)
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        kept(&*self.store)?.map(|kept| kept.snapshot(&*self.store)).transpose()
    }
}

/// A snapshot that is about to be kept.
pub(crate) struct Builder {
    store: Arc<dyn ReplicaStore>,
    kept: Option<io::Result<Kept>>,
    keeping: Arc<Mutex<()>>,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let new = self.kept.take().unwrap_or_else(|| Err(io::Error::other("a builder builds once")))?;
        let _one_at_a_time = self.keeping.lock().await;
        let newer = kept(&*self.store)?.filter(|kept| kept.last > new.last);
        let kept = newer.unwrap_or(new);
        put(&*self.store, SNAPSHOT, json(&kept)).await?;
        kept.snapshot(&*self.store)
    }
}
