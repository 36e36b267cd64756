//! The one thread that writes: everything that waits goes into one transaction, then each is told.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, params};
use watershed_schema::{LogRecord, Lsn, Seq};

use crate::entry::{Head, checksum};
use crate::store::Base;
use crate::{HotError, reader};

/// Called once, after the commit is on disk or has failed.
pub type Done = Box<dyn FnOnce(Result<(), HotError>) + Send>;

pub(crate) enum Write {
    Append(Vec<LogRecord>),
    TruncateFrom(Lsn),
    PurgeUpto(Lsn),
    PutMeta(String, Bytes),
    Install(Base, Vec<(String, Bytes)>),
}

impl Write {
    fn bytes(&self) -> usize {
        match self {
            Self::Append(records) => records.iter().map(|record| record.payload.len() + 64).sum(),
            Self::PutMeta(key, value) => key.len() + value.len(),
            Self::Install(_, values) => values.iter().map(|(key, value)| key.len() + value.len()).sum(),
            Self::TruncateFrom(_) | Self::PurgeUpto(_) => 0,
        }
    }
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Write, Done)>,
    bytes: usize,
    closed: bool,
    poisoned: Option<String>,
}

/// The bounded way to the writer thread.
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    bytes_max: usize,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), wake: Condvar::new(), bytes_max }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a write; `done` is always called, at once when it is refused.
    pub(crate) fn push(&self, write: Write, done: Done) {
        let mut state = self.state();
        if let Some(refusal) = self.refusal(&state, write.bytes()) {
            drop(state);
            return done(Err(refusal));
        }
        state.bytes += write.bytes();
        state.waiting.push_back((write, done));
        self.wake.notify_one();
    }

    fn refusal(&self, state: &State, bytes: usize) -> Option<HotError> {
        if let Some(reason) = &state.poisoned {
            return Some(HotError::Poisoned(reason.clone()));
        }
        if state.closed {
            return Some(HotError::Closed);
        }
        let over = state.bytes > 0 && state.bytes + bytes > self.bytes_max;
        over.then_some(HotError::Busy { waiting: state.bytes, limit: self.bytes_max })
    }

    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.wake.notify_one();
    }

    /// Everything that waits; `None` when closed and empty.
    fn take(&self) -> Option<Vec<(Write, Done)>> {
        let idle = |state: &mut State| state.waiting.is_empty() && !state.closed;
        let mut state = self.wake.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        state.bytes = 0;
        let taken: Vec<_> = state.waiting.drain(..).collect();
        (!taken.is_empty()).then_some(taken)
    }

    fn poison(&self, error: &HotError) {
        self.state().poisoned = Some(error.to_string());
    }
}

/// Runs until the queue is closed and empty.
pub(crate) fn run(mut connection: Connection, mut next_seq: Seq, queue: &Arc<Queue>) {
    while let Some(group) = queue.take() {
        let (writes, dones): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let result = commit(&mut connection, &writes, next_seq);
        if let Err(error) = &result
            && !matches!(error, HotError::DiskFull | HotError::Invalid { .. })
        {
            queue.poison(error);
        }
        if let Ok(reached) = result {
            next_seq = reached;
        }
        dones.into_iter().for_each(|done| done(result.clone().map(drop)));
    }
}

fn commit(connection: &mut Connection, writes: &[Write], mut next_seq: Seq) -> Result<Seq, HotError> {
    let transaction = connection.transaction()?;
    for write in writes {
        match write {
            Write::Append(records) => {
                for record in records {
                    next_seq = insert(&transaction, record, next_seq)?;
                }
            }
            Write::TruncateFrom(lsn) => next_seq = truncate(&transaction, *lsn, next_seq)?,
            Write::PurgeUpto(lsn) => purge(&transaction, *lsn, next_seq)?,
            Write::PutMeta(key, value) => put_meta(&transaction, key, value)?,
            Write::Install(base, values) => next_seq = install(&transaction, *base, values)?,
        }
    }
    transaction.commit()?;
    Ok(next_seq)
}

fn insert(connection: &Connection, record: &LogRecord, first_seq: Seq) -> Result<Seq, HotError> {
    let head = Head::of(record)?;
    let (lsn, kind) = (record.lsn.0.cast_signed(), record.kind as u8);
    let crc = checksum(record.lsn, record.term, kind, &record.payload);
    let mut statement =
        connection.prepare_cached("INSERT INTO log (lsn, term, kind, crc, payload) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    statement.execute(params![lsn, record.term.0.cast_signed(), kind, crc, &record.payload[..]])?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO heads (lsn, first_seq, rows, min_ts, max_ts, types, head) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let (first, rows) = (first_seq.0.cast_signed(), head.rows.cast_signed());
    statement.execute(params![lsn, first, rows, head.min_ts, head.max_ts, head.types, head.encode()])?;
    Ok(Seq(first_seq.0 + head.rows))
}

fn truncate(connection: &Connection, lsn: Lsn, next_seq: Seq) -> Result<Seq, HotError> {
    let lsn = lsn.0.cast_signed();
    let first: Option<i64> = connection.query_row("SELECT min(first_seq) FROM heads WHERE lsn >= ?1", [lsn], |row| row.get(0))?;
    connection.execute("DELETE FROM log WHERE lsn >= ?1", [lsn])?;
    connection.execute("DELETE FROM heads WHERE lsn >= ?1", [lsn])?;
    Ok(first.map_or(next_seq, |first| Seq(first.cast_unsigned())))
}

/// The numbering must survive an empty log, so the end of what is purged is kept.
fn purge(connection: &Connection, lsn: Lsn, next_seq: Seq) -> Result<(), HotError> {
    let lsn = lsn.0.cast_signed();
    connection.execute("DELETE FROM log WHERE lsn <= ?1", [lsn])?;
    connection.execute("DELETE FROM heads WHERE lsn <= ?1", [lsn])?;
    let first: Option<i64> = connection.query_row("SELECT min(first_seq) FROM heads", [], |row| row.get(0))?;
    let first = first.map_or(next_seq.0, i64::cast_unsigned);
    put_meta(connection, crate::store::FIRST_SEQ, &first.to_le_bytes())
}

/// The log begins again behind `base`. What stays must have the numbers that the snapshot says.
fn install(connection: &Connection, base: Base, values: &[(String, Bytes)]) -> Result<Seq, HotError> {
    let Base { lsn, next_seq } = base;
    purge(connection, lsn, next_seq)?;
    let first: Option<i64> = connection.query_row("SELECT min(first_seq) FROM heads", [], |row| row.get(0))?;
    if let Some(first) = first.map(|first| Seq(first.cast_unsigned())).filter(|first| *first != next_seq) {
        return Err(HotError::Invalid { lsn, reason: format!("events behind it begin at {first}, a snapshot says {next_seq}") });
    }
    values.iter().try_for_each(|(key, value)| put_meta(connection, key, value))?;
    reader::next_seq(connection)
}

fn put_meta(connection: &Connection, key: &str, value: &[u8]) -> Result<(), HotError> {
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?;
    statement.execute(params![key, value])?;
    Ok(())
}
