//! A replica that is behind the purge point.

use watershed_schema::{Lsn, Seq};

use super::cluster::{Cluster, node};
use crate::transport::RaftCall;

/// Numbers of the entries that both have.
fn numbers_agree(cluster: &Cluster) {
    let numbers = cluster.nodes.values().map(|node| node.store.numbers().into_iter().collect());
    let all: Vec<std::collections::BTreeMap<u64, Seq>> = numbers.collect();
    for other in &all[1..] {
        let shared: Vec<_> = other.iter().filter_map(|(lsn, seq)| Some((*lsn, *seq, *all[0].get(lsn)?))).collect();
        assert!(!shared.is_empty(), "nothing to compare");
        assert!(shared.iter().all(|(_, one, other)| one == other), "{shared:?}");
    }
}

fn last(cluster: &Cluster, id: watershed_schema::NodeId) -> Lsn {
    cluster.at(id).group.status().applied.expect("not empty")
}

#[tokio::test(start_paused = true)]
async fn a_follower_behind_the_purge_point_gets_the_state_there_and_every_entry_behind_it() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let behind = cluster.others(leader)[0];
    cluster.write(0..30).await;
    cluster.isolate(behind);
    cluster.write(30..60).await;
    let point = last(&cluster, leader);
    cluster.write(60..100).await;
    cluster.at(leader).group.purge_upto(point).await.expect("purged");
    assert_eq!(cluster.at(leader).group.status().purged, Some(point));
    cluster.net.heal();
    cluster.check(&(0..100).collect::<Vec<_>>(), &[]).await;
    assert!(cluster.net.traffic().calls[&(RaftCall::Snapshot as u8)] > 0, "no snapshot was sent");
    // Not the leader's newest state: events behind the purge point may not be in the lake yet.
    assert_eq!(cluster.at(behind).store.numbers().first().map(|(lsn, _)| *lsn), Some(point.0 + 1));
    cluster.write(100..120).await;
    cluster.agreed().await;
    numbers_agree(&cluster);
    cluster.restart(behind).await;
    cluster.check(&(0..120).collect::<Vec<_>>(), &[]).await;
    numbers_agree(&cluster);
}

#[tokio::test(start_paused = true)]
async fn a_new_replica_starts_from_a_snapshot_and_may_lead() {
    let mut cluster = Cluster::start(3).await;
    cluster.write(0..50).await;
    let leader = cluster.leader().await;
    for id in cluster.nodes.keys() {
        let point = Lsn(last(&cluster, *id).0 - 5);
        cluster.at(*id).group.purge_upto(point).await.expect("purged");
    }
    cluster.add(node(4)).await;
    let group = cluster.at(leader).group.clone();
    group.add_learner(node(4)).await.expect("added");
    cluster.check(&(0..50).collect::<Vec<_>>(), &[]).await;
    cluster.until("caught up", || group.status().lag.get(&node(4)) == Some(&0)).await;
    group.change_voters((1..=4).map(node).collect()).await.expect("votes");
    group.transfer_leader(node(4)).await.expect("leads");
    cluster.write(50..60).await;
    cluster.check(&(0..60).collect::<Vec<_>>(), &[]).await;
    numbers_agree(&cluster);
    assert_eq!(cluster.at(node(4)).group.status().voters.len(), 4, "the members are in the snapshot, too");
}

#[tokio::test(start_paused = true)]
async fn a_purged_replica_restarts_at_its_purge_point() {
    let mut cluster = Cluster::start(3).await;
    cluster.write(0..50).await;
    let point = Lsn(last(&cluster, node(1)).0 - 20);
    cluster.at(node(1)).group.purge_upto(point).await.expect("purged");
    cluster.at(node(1)).group.purge_upto(Lsn(3)).await.expect("nothing to do");
    assert_eq!(cluster.at(node(1)).store.numbers().len(), 20);
    cluster.restart(node(1)).await;
    cluster.write(50..60).await;
    cluster.check(&(0..60).collect::<Vec<_>>(), &[]).await;
    numbers_agree(&cluster);
}
