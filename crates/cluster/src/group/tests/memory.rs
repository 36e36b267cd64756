//! A log in memory that can fail, fall silent or lie, and a state that remembers everything.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use watershed_schema::{EntryKind, LogRecord, Lsn, Seq, Term};

use crate::group::storage::{Base, Done, ReplicaStore, StateMachine};
use crate::group::types;

/// What the disk does with a write.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Honest,
    /// Refuses.
    Broken,
    /// Neither writes nor answers until it is honest again.
    Silent,
    /// Says that it is durable, and forgets it when the power is cut.
    Lying,
}

type Write = Box<dyn FnOnce(&mut Disk) -> io::Result<()> + Send>;

/// A log in memory; every append is one event.
#[derive(Default)]
pub(super) struct Memory(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    disk: Disk,
    mood: Mood,
    held: Vec<(Write, Done)>,
    /// What the disk really holds while it lies.
    truth: Option<Disk>,
}

#[derive(Clone, Default)]
struct Disk {
    records: BTreeMap<u64, (LogRecord, Seq)>,
    meta: BTreeMap<String, Bytes>,
    /// Number of the first event that is here, or would be.
    first: Option<Seq>,
}

impl Disk {
    fn next_after(&self, lsn: u64) -> Seq {
        let last = self.records.range(..=lsn).next_back();
        let behind = |(record, first): &(LogRecord, Seq)| Seq(first.0 + u64::from(record.kind == EntryKind::Append));
        last.map_or(self.first.unwrap_or(Seq::FIRST), |(_, last)| behind(last))
    }

    fn append(&mut self, records: Vec<LogRecord>) -> io::Result<()> {
        for record in records {
            let last = self.records.last_key_value().map(|(lsn, _)| *lsn);
            assert!(last.is_none_or(|last| last + 1 == record.lsn.0), "a hole in the log before {}", record.lsn);
            let next = self.next_after(u64::MAX);
            self.records.insert(record.lsn.0, (record, next));
        }
        Ok(())
    }

    fn purge(&mut self, lsn: u64) {
        self.first = Some(self.next_after(lsn));
        self.records = self.records.split_off(&(lsn + 1));
    }

    fn install(&mut self, base: Base, values: Vec<(String, Bytes)>) -> io::Result<()> {
        self.records = self.records.split_off(&(base.lsn.0 + 1));
        self.first = Some(base.next_seq);
        let first = self.records.first_key_value().map(|(_, (_, first))| *first);
        assert!(first.is_none_or(|first| first == base.next_seq), "numbers behind the snapshot differ");
        self.meta.extend(values);
        Ok(())
    }
}

impl Memory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("lock")
    }

    fn write(&self, write: Write, done: Done) {
        let mut inner = self.inner();
        match inner.mood {
            Mood::Honest | Mood::Lying => {
                let result = write(&mut inner.disk);
                drop(inner);
                done(result);
            }
            Mood::Silent => inner.held.push((write, done)),
            Mood::Broken => {
                drop(inner);
                done(Err(io::Error::other("broken disk")));
            }
        }
    }

    pub(super) fn fail(&self) {
        self.inner().mood = Mood::Broken;
    }

    pub(super) fn fall_silent(&self) {
        self.inner().mood = Mood::Silent;
    }

    pub(super) fn lie(&self) {
        let mut inner = self.inner();
        inner.truth = Some(inner.disk.clone());
        inner.mood = Mood::Lying;
    }

    /// Does and answers what it held back.
    pub(super) fn speak(&self) {
        let mut inner = self.inner();
        inner.mood = Mood::Honest;
        let held = std::mem::take(&mut inner.held);
        let results: Vec<_> = held.into_iter().map(|(write, done)| (done, write(&mut inner.disk))).collect();
        drop(inner);
        results.into_iter().for_each(|(done, result)| done(result));
    }

    /// What was not written is gone, and nothing is written any more.
    pub(super) fn cut_power(&self) {
        let mut inner = self.inner();
        inner.mood = Mood::Broken;
        if let Some(truth) = inner.truth.take() {
            inner.disk = truth;
        }
        let held = std::mem::take(&mut inner.held);
        drop(inner);
        held.into_iter().for_each(|(_, done)| done(Err(io::Error::other("no power"))));
    }

    pub(super) fn power_on(&self) {
        self.inner().mood = Mood::Honest;
    }

    /// Position and number of every entry that is here.
    pub(super) fn numbers(&self) -> Vec<(u64, Seq)> {
        self.inner().disk.records.iter().map(|(lsn, (_, first))| (*lsn, *first)).collect()
    }
}

impl ReplicaStore for Memory {
    fn append(&self, records: Vec<LogRecord>, done: Done) {
        self.write(Box::new(move |disk| disk.append(records)), done);
    }

    fn truncate_from(&self, lsn: Lsn, done: Done) {
        let truncate = move |disk: &mut Disk| {
            drop(disk.records.split_off(&lsn.0));
            Ok(())
        };
        self.write(Box::new(truncate), done);
    }

    fn put_meta(&self, key: &str, value: Bytes, done: Done) {
        let key = key.to_owned();
        let put = move |disk: &mut Disk| {
            disk.meta.insert(key, value);
            Ok(())
        };
        self.write(Box::new(put), done);
    }

    fn purge_upto(&self, lsn_inclusive: Lsn) -> io::Result<()> {
        self.inner().disk.purge(lsn_inclusive.0);
        Ok(())
    }

    fn install(&self, base: Base, values: Vec<(String, Bytes)>, done: Done) {
        self.write(Box::new(move |disk| disk.install(base, values)), done);
    }

    fn next_seq_after(&self, lsn: Lsn) -> io::Result<Seq> {
        Ok(self.inner().disk.next_after(lsn.0))
    }

    fn records(&self, from: Lsn, to_exclusive: Lsn, bytes_max: usize) -> io::Result<Vec<LogRecord>> {
        let inner = self.inner();
        let range = inner.disk.records.range(from.0..to_exclusive.0.max(from.0));
        let mut bytes = 0;
        let mut records: Vec<LogRecord> = Vec::new();
        for (_, (record, _)) in range {
            bytes += record.payload.len();
            if !records.is_empty() && bytes > bytes_max {
                break;
            }
            records.push(record.clone());
        }
        Ok(records)
    }

    fn last(&self) -> io::Result<Option<(Lsn, Term)>> {
        Ok(self.inner().disk.records.last_key_value().map(|(_, (record, _))| (record.lsn, record.term)))
    }

    fn meta(&self, key: &str) -> io::Result<Option<Bytes>> {
        Ok(self.inner().disk.meta.get(key).cloned())
    }
}

/// Everything that was applied, in order; snapshots hold it all, so a test sees what a replica ever knew.
#[derive(Clone, Default)]
pub(super) struct Journal(Arc<Mutex<Vec<(u64, Bytes)>>>);

impl Journal {
    pub(super) fn lines(&self) -> Vec<Bytes> {
        self.0.lock().expect("lock").iter().map(|(_, line)| line.clone()).collect()
    }
}

impl StateMachine for Journal {
    fn apply(&mut self, lsn: Lsn, _kind: EntryKind, payload: &Bytes) -> Bytes {
        self.0.lock().expect("lock").push((lsn.0, payload.clone()));
        payload.clone()
    }

    fn snapshot(&self, at: Lsn) -> io::Result<Bytes> {
        let lines = self.0.lock().expect("lock");
        let before: Vec<_> = lines.iter().filter(|(lsn, _)| *lsn <= at.0).map(|(lsn, line)| (*lsn, line.to_vec())).collect();
        Ok(types::json(&before))
    }

    fn restore(&mut self, snapshot: &[u8]) -> io::Result<()> {
        let lines: Vec<(u64, Vec<u8>)> = serde_json::from_slice(snapshot)?;
        *self.0.lock().expect("lock") = lines.into_iter().map(|(lsn, line)| (lsn, Bytes::from(line))).collect();
        Ok(())
    }
}
