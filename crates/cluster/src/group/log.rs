//! A [`ReplicaStore`] as openraft's log.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::stream::{self, Stream, TryStreamExt as _};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use serde::de::DeserializeOwned;
use watershed_schema::Lsn;

use super::fresh::{Fresh, bytes_of};
use super::storage::{Done, ReplicaStore};
use super::types::{LogEntry, Position, Types, Vote, json, position, to_entry, to_record};
use crate::transport::SHARED_BODY_BYTES_MAX;

const VOTE: &str = "raft.vote";
pub(crate) const PURGED: &str = "raft.purged";
/// Bytes of entries that go into one append: a body has a head, too.
const APPEND_BYTES: usize = SHARED_BODY_BYTES_MAX - 1024;
/// Bytes of the log that are read at a time to be applied.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// The log of one replica.
#[derive(Clone)]
pub(crate) struct Log {
    store: Arc<dyn ReplicaStore>,
    fresh: Fresh,
}

impl Log {
    pub(crate) fn new(store: Arc<dyn ReplicaStore>) -> Self {
        Self { store, fresh: Fresh::default() }
    }

    /// Entries `[from, to)`, up to `bytes_max`, at least one: from memory what is there.
    fn read(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<LogEntry>> {
        let fresh = self.fresh.range(from, to);
        let on_disk = fresh.first().map_or(to, |first| first.log_id.index);
        if from >= on_disk {
            return Ok(cut(fresh, bytes_max));
        }
        let records = self.store.records(Lsn(from), Lsn(on_disk), bytes_max)?;
        let whole = records.last().is_none_or(|last| last.lsn.0 + 1 == on_disk);
        let older = records.into_iter().map(to_entry);
        let entries: io::Result<Vec<LogEntry>> = older.chain(fresh.into_iter().filter(|_| whole).map(Ok)).collect();
        Ok(cut(entries?, bytes_max))
    }

    fn stored<T: DeserializeOwned>(&self, key: &str) -> io::Result<Option<T>> {
        self.store.meta(key)?.map(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::other)).transpose()
    }
}

/// The first entries, up to `bytes_max`, at least one.
fn cut(mut entries: Vec<LogEntry>, bytes_max: usize) -> Vec<LogEntry> {
    let mut bytes = 0;
    let mut fits = |entry: &LogEntry| {
        bytes += bytes_of(entry);
        bytes <= bytes_max
    };
    let fitting = entries.iter().take_while(|entry| fits(entry)).count();
    entries.truncate(fitting.max(1));
    entries
}

/// First index, and the one behind the last.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(before) => before + 1,
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(last) => last + 1,
        Bound::Excluded(to) => *to,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

/// Calls and waits until it is durable.
pub(crate) async fn durable(call: impl FnOnce(Done)) -> io::Result<()> {
    let (tell, told) = oneshot::channel();
    call(Box::new(move |result| drop(tell.send(result))));
    told.await.unwrap_or_else(|_gone| Err(io::Error::other("the store stopped")))
}

pub(crate) async fn put(store: &dyn ReplicaStore, key: &str, value: Bytes) -> io::Result<()> {
    durable(|done| store.put_meta(key, value, done)).await
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<LogEntry>> {
        let (from, to) = bounds(&range);
        self.read(from, to, usize::MAX)
    }

    /// What goes into one append. A follower that lags gets the log in many small bodies, not in a few huge ones.
    async fn limited_get_log_entries(&mut self, from: u64, to: u64) -> io::Result<Vec<LogEntry>> {
        self.read(from, to, APPEND_BYTES)
    }

    /// A long log is applied a piece at a time: after a restart it may be larger than the memory.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<LogEntry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (log, (from, to)) = (self.clone(), bounds(&range));
        let pieces = stream::try_unfold(from, move |from| {
            let piece = if from < to { log.read(from, to, PIECE_BYTES) } else { Ok(Vec::new()) };
            let next = |piece: &Vec<LogEntry>| piece.last().map(|last| last.log_id.index + 1);
            std::future::ready(piece.map(|piece| next(&piece).map(|next| (piece, next))))
        });
        Box::pin(pieces.map_ok(|piece| stream::iter(piece.into_iter().map(Ok))).try_flatten())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.stored(VOTE)
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let last_purged_log_id: Option<Position> = self.stored(PURGED)?;
        let stored = self.store.last()?.map(|(lsn, term)| position(lsn, term));
        let last = self.fresh.last().map(|entry| entry.log_id).or(stored);
        Ok(LogState { last_purged_log_id, last_log_id: last.or(last_purged_log_id) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        put(&*self.store, VOTE, json(vote)).await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<LogEntry> = entries.into_iter().collect();
        self.fresh.append(&entries);
        let (end, fresh) = (entries.last().map_or(0, |last| last.log_id.index + 1), self.fresh.clone());
        let done = move |result: io::Result<()>| {
            if result.is_ok() {
                fresh.durable(end);
            }
            callback.io_completed(result);
        };
        self.store.append(entries.into_iter().map(to_record).collect(), Box::new(done));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<Position>) -> io::Result<()> {
        let from = Lsn(last.map_or(0, |last| last.index + 1));
        self.fresh.truncate(from.0);
        durable(|done| self.store.truncate_from(from, done)).await
    }

    async fn purge(&mut self, upto: Position) -> io::Result<()> {
        put(&*self.store, PURGED, json(&upto)).await?;
        self.fresh.purge(upto.index);
        self.store.purge_upto(Lsn(upto.index))
    }
}
