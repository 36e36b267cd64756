//! What an acknowledgement means, and how entries travel.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use watershed_schema::EntryKind;

use super::cluster::Cluster;
use super::net::Weather;
use crate::transport::{RaftCall, SHARED_BODY_BYTES_MAX};

#[tokio::test(start_paused = true)]
async fn an_entry_is_acknowledged_only_when_a_quorum_has_it_on_disk() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let followers = cluster.others(leader);
    followers.iter().for_each(|follower| cluster.at(*follower).store.fall_silent());
    let mut proposed = Box::pin(cluster.propose(leader, 1));
    let early = timeout(Duration::from_millis(300), &mut proposed).await;
    assert!(early.is_err(), "acknowledged while only the leader has it: {early:?}");
    cluster.at(followers[0]).store.speak();
    // The other leader's votes may come first if the followers' heartbeats stopped with their disks.
    timeout(super::cluster::DEADLINE, proposed).await.expect("answered").expect("committed");
    cluster.at(followers[1]).store.speak();
    cluster.check(&[1], &[]).await;
}

/// The checker must see a broken promise, or the tests that use it prove nothing.
#[tokio::test(start_paused = true)]
#[should_panic(expected = "was acknowledged and is lost")]
async fn the_checker_sees_a_disk_that_lies() {
    let mut cluster = Cluster::start(3).await;
    cluster.nodes.values().for_each(|node| node.store.lie());
    cluster.write(0..10).await;
    for number in 1..=3 {
        cluster.stop(super::cluster::node(number)).await;
    }
    for number in 1..=3 {
        cluster.restart(super::cluster::node(number)).await;
    }
    cluster.leader().await;
    cluster.check(&(0..10).collect::<Vec<_>>(), &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_disk_of_one_follower_stops_nobody_else() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.others(leader)[0];
    cluster.at(follower).store.fail();
    cluster.write(0..20).await;
    cluster.restart(follower).await;
    cluster.check(&(0..20).collect::<Vec<_>>(), &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_lost_its_disk_does_not_take_the_leader_with_it() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.others(leader)[0];
    cluster.at(follower).store.lie();
    cluster.write(0..50).await;
    cluster.restart(follower).await;
    cluster.write(50..60).await;
    assert_eq!(cluster.leader().await, leader);
    cluster.check(&(0..60).collect::<Vec<_>>(), &[]).await;
}

#[tokio::test(start_paused = true)]
async fn bodies_are_cut_by_bytes_and_a_large_entry_goes_alone() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let away = cluster.others(leader)[0];
    cluster.isolate(away);
    let propose = |bytes: usize| cluster.at(leader).group.propose(EntryKind::Append, Bytes::from(vec![1; bytes]));
    futures::future::try_join_all((0..100).map(|number| propose(40_000 + number))).await.expect("committed");
    propose(1024 * 1024).await.expect("committed");
    cluster.net.heal();
    cluster.agreed().await;
    let traffic = cluster.net.traffic();
    let largest = |kind: RaftCall| traffic.largest.get(&(kind as u8)).copied().unwrap_or(0);
    assert!(largest(RaftCall::Append) <= SHARED_BODY_BYTES_MAX, "{} bytes", largest(RaftCall::Append));
    assert!(largest(RaftCall::Append) > SHARED_BODY_BYTES_MAX / 2, "entries travel together");
    let large = largest(RaftCall::AppendBulk);
    assert!((1024 * 1024..1024 * 1024 + 1024).contains(&large), "one large entry in a body of {large} bytes");
    for kind in [RaftCall::Heartbeat, RaftCall::Vote] {
        assert!((1..256).contains(&largest(kind)), "{kind:?} of {} bytes", largest(kind));
    }
}

#[tokio::test(start_paused = true)]
async fn appends_are_pipelined_and_put_in_order() {
    let cluster = &Cluster::start(3).await;
    cluster.net.set_weather(Weather { delay_ms_max: 40, repeated: 20, ..Weather::default() }, 1);
    let leader = cluster.leader().await;
    // One every 2 ms: about 20 are on their way at any time, and overtake each other.
    let later = |number| async move {
        tokio::time::sleep(Duration::from_millis(2 * number)).await;
        let proposed = tokio::time::Instant::now();
        cluster.propose(leader, number).await.map(|_| proposed.elapsed())
    };
    let mut waits = futures::future::try_join_all((0..1000).map(later)).await.expect("committed");
    waits.sort();
    // A round trip takes 40 ms on average and 80 ms at most; a stream that starts again takes several.
    assert!(
        waits[500] < Duration::from_millis(80) && waits[990] < Duration::from_millis(150),
        "{:?} {:?}",
        waits[500],
        waits[990]
    );
    assert_eq!(cluster.leader().await, leader);
    cluster.check(&(0..1000).collect::<Vec<_>>(), &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_understood_is_refused() {
    let cluster = Cluster::start(1).await;
    let group = &cluster.at(super::cluster::node(1)).group;
    for body in [&b""[..], b"\x09", b"\x01\xff\xff", b"\x01"] {
        for kind in (1..=7).filter_map(RaftCall::from_number) {
            let refused = group.receive(kind, Bytes::copy_from_slice(body)).await.expect_err("refused");
            assert!(matches!(refused, crate::GroupError::BadMessage(_)), "{kind:?}: {refused}");
        }
    }
}
