//! A [`ReplicaStore`] as openraft's log.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;
use futures::channel::oneshot;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use serde::de::DeserializeOwned;
use watershed_schema::Lsn;

use super::storage::{Done, ReplicaStore};
use super::types::{LogEntry, Position, Types, json, position, to_entry, to_record};

type Vote = openraft::type_config::alias::VoteOf<Types>;

const VOTE: &str = "raft.vote";
const PURGED: &str = "raft.purged";

/// The log of one replica.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) store: Arc<dyn ReplicaStore>,
}

impl Log {
    fn stored<T: DeserializeOwned>(&self, key: &str) -> io::Result<Option<T>> {
        self.store.meta(key)?.map(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::other)).transpose()
    }
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
        let records = self.store.records(Lsn(from), Lsn(to), usize::MAX)?;
        records.into_iter().map(to_entry).collect()
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.stored(VOTE)
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let last_purged_log_id: Option<Position> = self.stored(PURGED)?;
        let last = self.store.last()?.map(|(lsn, term)| position(lsn, term));
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
        let records = entries.into_iter().map(to_record).collect();
        self.store.append(records, Box::new(move |result| callback.io_completed(result)));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<Position>) -> io::Result<()> {
        let from = Lsn(last.map_or(0, |last| last.index + 1));
        durable(|done| self.store.truncate_from(from, done)).await
    }

    async fn purge(&mut self, upto: Position) -> io::Result<()> {
        put(&*self.store, PURGED, json(&upto)).await?;
        self.store.purge_upto(Lsn(upto.index))
    }
}
