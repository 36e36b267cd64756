//! The group's contract: openraft's own suite for the log, then what our users rely on.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use openraft::testing::log::{StoreBuilder, Suite};
use watershed_schema::{LogRecord, Term};

use super::*;

/// A log in memory.
#[derive(Default)]
struct Memory {
    records: Mutex<BTreeMap<u64, LogRecord>>,
    meta: Mutex<BTreeMap<String, Bytes>>,
    broken: AtomicBool,
}

impl ReplicaStore for Memory {
    fn append(&self, records: Vec<LogRecord>, done: Done) {
        if self.broken.load(Ordering::SeqCst) {
            return done(Err(io::Error::other("broken disk")));
        }
        self.records.lock().expect("lock").extend(records.into_iter().map(|record| (record.lsn.0, record)));
        done(Ok(()));
    }

    fn truncate_from(&self, lsn: Lsn, done: Done) {
        drop(self.records.lock().expect("lock").split_off(&lsn.0));
        done(Ok(()));
    }

    fn put_meta(&self, key: &str, value: Bytes, done: Done) {
        self.meta.lock().expect("lock").insert(key.to_owned(), value);
        done(Ok(()));
    }

    fn purge_upto(&self, lsn_inclusive: Lsn) -> io::Result<()> {
        let mut records = self.records.lock().expect("lock");
        *records = records.split_off(&(lsn_inclusive.0 + 1));
        Ok(())
    }

    fn records(&self, from: Lsn, to_exclusive: Lsn, _bytes_max: usize) -> io::Result<Vec<LogRecord>> {
        let records = self.records.lock().expect("lock");
        Ok(records.range(from.0..to_exclusive.0.max(from.0)).map(|(_, record)| record.clone()).collect())
    }

    fn last(&self) -> io::Result<Option<(Lsn, Term)>> {
        let records = self.records.lock().expect("lock");
        Ok(records.last_key_value().map(|(_, record)| (record.lsn, record.term)))
    }

    fn meta(&self, key: &str) -> io::Result<Option<Bytes>> {
        Ok(self.meta.lock().expect("lock").get(key).cloned())
    }
}

/// Everything that was applied, in order.
#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<Bytes>>>);

impl Journal {
    fn lines(&self) -> Vec<Bytes> {
        self.0.lock().expect("lock").clone()
    }
}

impl StateMachine for Journal {
    fn apply(&mut self, _lsn: Lsn, _kind: EntryKind, payload: &Bytes) -> Bytes {
        self.0.lock().expect("lock").push(payload.clone());
        payload.clone()
    }

    fn snapshot(&self) -> Bytes {
        types::json(&self.lines().iter().map(|line| line.to_vec()).collect::<Vec<_>>())
    }

    fn restore(&mut self, snapshot: &[u8]) -> io::Result<()> {
        let lines: Vec<Vec<u8>> = serde_json::from_slice(snapshot)?;
        *self.0.lock().expect("lock") = lines.into_iter().map(Bytes::from).collect();
        Ok(())
    }
}

const DEADLINE: Duration = Duration::from_secs(10);

async fn open(store: &Arc<Memory>) -> (Group, Journal) {
    let journal = Journal::default();
    let group =
        Group::open(NodeId(1), Arc::clone(store) as Arc<dyn ReplicaStore>, Box::new(journal.clone())).await.expect("opens");
    group.bootstrap(&[NodeId(1)]).await.expect("founded");
    group.wait_leader(DEADLINE).await.expect("a leader");
    (group, journal)
}

fn line(number: u32) -> Bytes {
    Bytes::from(number.to_string())
}

#[tokio::test]
async fn what_is_proposed_is_applied_once_and_again_after_a_reopen() {
    let store = Arc::new(Memory::default());
    let (group, journal) = open(&store).await;
    let proposals = (0..1000).map(|number| group.propose(EntryKind::Append, line(number)));
    let answers = futures::future::try_join_all(proposals).await.expect("committed");
    assert!(answers.iter().zip(0..).all(|(applied, number)| applied.answer == line(number)));
    let lines = journal.lines();
    assert_eq!(lines.len(), 1000);
    group.shutdown().await.expect("stops");
    let (group, journal) = open(&store).await;
    group.read_index().await.expect("leads");
    assert_eq!(journal.lines(), lines);
}

#[tokio::test]
async fn a_purge_keeps_the_state() {
    let store = Arc::new(Memory::default());
    let (group, journal) = open(&store).await;
    let mut last = Lsn(0);
    for number in 0..20 {
        last = group.propose(EntryKind::Append, line(number)).await.expect("committed").lsn;
    }
    group.purge_upto(Lsn(last.0 - 5)).await.expect("purged");
    assert_eq!(store.records(Lsn(0), Lsn(u64::MAX), 0).expect("readable").len(), 5);
    group.shutdown().await.expect("stops");
    let (group, again) = open(&store).await;
    group.propose(EntryKind::Append, line(20)).await.expect("committed");
    assert_eq!(again.lines().len(), 21);
    assert_eq!(&again.lines()[..20], &journal.lines()[..]);
}

#[tokio::test]
async fn a_failed_write_is_never_acknowledged() {
    let store = Arc::new(Memory::default());
    let (group, journal) = open(&store).await;
    store.broken.store(true, Ordering::SeqCst);
    let refused = group.propose(EntryKind::Append, line(1)).await;
    assert!(matches!(refused, Err(GroupError::Stopped(_))), "{refused:?}");
    assert!(journal.lines().is_empty());
}

struct Fresh;

impl StoreBuilder<Types, log::Log, machine::Machine> for Fresh {
    async fn build(&self) -> Result<((), log::Log, machine::Machine), openraft::StorageError<Types>> {
        let store: Arc<dyn ReplicaStore> = Arc::new(Memory::default());
        let machine = machine::Machine::open(Arc::clone(&store), Box::new(Journal::default())).expect("nothing to read");
        Ok(((), log::Log::new(store), machine))
    }
}

#[tokio::test]
async fn the_log_passes_openrafts_suite() {
    Suite::<Types, log::Log, machine::Machine, Fresh, ()>::test_all(Fresh).await.expect("passes");
}
