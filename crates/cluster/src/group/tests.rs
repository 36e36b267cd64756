//! The group's contract: openraft's own suite for the log, then what our users rely on.

mod chaos;
mod cluster;
mod disk;
mod elections;
mod membership;
mod memory;
mod net;
mod replication;
mod snapshots;

use openraft::testing::log::{StoreBuilder, Suite};

use self::memory::{Journal, Memory};
use super::*;
use crate::transport::NoPeers;

const DEADLINE: Duration = Duration::from_secs(10);

async fn open(store: &Arc<Memory>) -> (Group, Journal) {
    let journal = Journal::default();
    let (state, transport) = (Box::new(journal.clone()), Arc::new(NoPeers));
    let replica =
        Replica { group: GroupId(1), node: NodeId(1), store: Arc::clone(store) as _, state, transport, pulse: Pulse::start() };
    let group = Group::open(replica).await.expect("opens");
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
    assert_eq!(store.records(Lsn(0), Lsn(u64::MAX), usize::MAX).expect("readable").len(), 5);
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
    store.fail();
    let refused = group.propose(EntryKind::Append, line(1)).await;
    assert!(matches!(refused, Err(GroupError::Stopped(_))), "{refused:?}");
    assert!(journal.lines().is_empty());
}

struct Fresh;

impl StoreBuilder<Types, log::Log, machine::Machine> for Fresh {
    async fn build(&self) -> Result<((), log::Log, machine::Machine), openraft::StorageError<Types>> {
        let store: Arc<dyn ReplicaStore> = Arc::new(Memory::default());
        let machine = machine::Machine::open(Arc::clone(&store), Box::new(Journal::default()), machine::SnapshotPoint::default())
            .expect("nothing to read");
        Ok(((), log::Log::new(store), machine))
    }
}

#[tokio::test]
async fn the_log_passes_openrafts_suite() {
    Suite::<Types, log::Log, machine::Machine, Fresh, ()>::test_all(Fresh).await.expect("passes");
}
