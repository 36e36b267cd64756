//! The same on the real store: numbers of a follower that installed a snapshot.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use watershed_hot::{Options, Store};
use watershed_schema::proto::LogAppend;
use watershed_schema::{BatchBuilder, Column, EntryKind, GroupId, LogRecord, Lsn, NodeId, Seq, TenantId, Term};

use super::memory::Journal;
use super::net::Net;
use crate::Pulse;
use crate::group::{Base, Done, Group, Replica, ReplicaStore};

const DEADLINE: Duration = Duration::from_secs(30);

/// hot's store as a group's.
struct OnDisk(Store);

fn told(done: Done) -> watershed_hot::Done {
    Box::new(move |result| done(result.map_err(io::Error::other)))
}

impl ReplicaStore for OnDisk {
    fn append(&self, records: Vec<LogRecord>, done: Done) {
        self.0.append(records, told(done));
    }

    fn truncate_from(&self, lsn: Lsn, done: Done) {
        self.0.truncate_from(lsn, told(done));
    }

    fn put_meta(&self, key: &str, value: Bytes, done: Done) {
        self.0.put_meta(key, value, told(done));
    }

    fn purge_upto(&self, lsn_inclusive: Lsn) -> io::Result<()> {
        self.0.purge_upto_inclusive(lsn_inclusive).map_err(io::Error::other)
    }

    fn install(&self, base: Base, values: Vec<(String, Bytes)>, done: Done) {
        self.0.install(watershed_hot::Base { lsn: base.lsn, next_seq: base.next_seq }, values, told(done));
    }

    fn next_seq_after(&self, lsn: Lsn) -> io::Result<Seq> {
        self.0.next_seq_after(lsn).map_err(io::Error::other)
    }

    fn records(&self, from: Lsn, to_exclusive: Lsn, bytes_max: usize) -> io::Result<Vec<LogRecord>> {
        self.0.records(from, to_exclusive, bytes_max).map_err(io::Error::other)
    }

    fn last(&self) -> io::Result<Option<(Lsn, Term)>> {
        self.0.last().map_err(io::Error::other)
    }

    fn meta(&self, key: &str) -> io::Result<Option<Bytes>> {
        self.0.meta(key).map_err(io::Error::other)
    }
}

/// An append of so many events.
fn events(rows: u32) -> Bytes {
    let mut builder = BatchBuilder::new(TenantId::default(), 0);
    for row in 0..rows {
        builder.row(None, |event| {
            event.str(Column::Id, &format!("e{row}"));
            event.str(Column::EventType, "log");
            event.str(Column::EventName, "n");
            event.int(Column::Timestamp, 1);
        });
    }
    let batch = builder.finish().expect("a batch");
    Bytes::from(LogAppend { batches: vec![batch.seal()] }.encode_to_vec())
}

async fn open(net: &Net, folder: &Path, id: u64) -> (Store, Group) {
    let store = Store::open(&folder.join(format!("{id}.db")), Options::default()).expect("opens");
    let (node, state, transport) = (NodeId(id), Box::new(Journal::default()), net.transport(NodeId(id)));
    let replica =
        Replica { group: GroupId(1), node, store: Arc::new(OnDisk(store.clone())), state, transport, pulse: Pulse::start() };
    let group = Group::open(replica).await.expect("opens");
    net.join(node, group.clone());
    (store, group)
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(DEADLINE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "no {what} within {DEADLINE:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_have_the_same_numbers_on_a_replica_that_began_with_a_snapshot() {
    let (net, folder) = (Net::default(), tempfile::tempdir().expect("a folder"));
    let (first, leader) = open(&net, folder.path(), 1).await;
    leader.bootstrap(&[NodeId(1)]).await.expect("founded");
    leader.wait_leader(DEADLINE).await.expect("leads");
    let mut point = Lsn(0);
    for rows in 1..=20 {
        let lsn = leader.propose(EntryKind::Append, events(rows)).await.expect("committed").lsn;
        point = if rows == 12 { lsn } else { point };
    }
    leader.purge_upto(point).await.expect("purged");
    let (second, follower) = open(&net, folder.path(), 2).await;
    leader.add_learner(NodeId(2)).await.expect("added");
    until("catching up", || follower.status().applied == leader.status().applied).await;
    assert_eq!(second.stats().expect("readable").first_seq, Seq(12 * 13 / 2 + 1));
    until("a small lag", || leader.status().lag.get(&NodeId(2)) == Some(&0)).await;
    leader.change_voters([NodeId(1), NodeId(2)].into()).await.expect("votes");
    leader.propose(EntryKind::Append, events(7)).await.expect("committed");
    until("both", || second.last().expect("readable") == first.last().expect("readable")).await;
    let request = watershed_hot::ScanRequest::from(Seq(79));
    let numbers = |store: &Store| store.heads(&request).expect("readable").into_iter().map(|(seq, _)| seq).collect::<Vec<_>>();
    assert_eq!(numbers(&first), numbers(&second));
    assert_eq!(second.stats().expect("readable").next_seq, Seq(20 * 21 / 2 + 7 + 1));
}
