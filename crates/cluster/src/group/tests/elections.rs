//! Who leads, and who does not.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use watershed_schema::{EntryKind, NodeId};

use super::cluster::{Cluster, line, node};
use crate::group::{GroupError, Role};
use crate::transport::RaftCall;

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_is_replaced_within_two_seconds_and_its_last_word_is_forgotten() {
    let cluster = Cluster::start(3).await;
    cluster.write(0..50).await;
    let old = cluster.leader().await;
    cluster.isolate(old);
    let cut = Instant::now();
    let group = cluster.at(old).group.clone();
    let unheard = tokio::spawn(async move { group.propose(EntryKind::Append, line(666)).await });
    let rest: BTreeSet<NodeId> = cluster.others(old).into_iter().collect();
    let new = cluster.leader_among(&rest).await;
    assert!(cut.elapsed() < Duration::from_secs(2), "{:?} without a leader", cut.elapsed());
    assert_eq!(cluster.propose(new, 50).await.map(|applied| applied.answer), Ok(line(50)));
    cluster.net.heal();
    let outcome = timeout(super::cluster::DEADLINE, unheard).await.expect("answered").expect("no panic");
    assert_eq!(outcome, Err(GroupError::Unknown));
    cluster.check(&(0..=50).collect::<Vec<_>>(), &[666]).await;
}

/// Waits until somebody has asked more than so many times for a vote, or whether it would get one.
async fn asked_for_votes(cluster: &Cluster, times: u64) {
    let count = |kind: RaftCall| cluster.net.traffic().calls.get(&(kind as u8)).copied().unwrap_or(0);
    let asked = || count(RaftCall::PreVote) + count(RaftCall::Vote);
    let end = asked() + times;
    cluster.until("candidate", || asked() > end).await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_comes_back_does_not_depose_the_leader() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let term = cluster.at(leader).group.term();
    let away = cluster.others(leader)[0];
    cluster.isolate(away);
    // Enough for many elections, were it not for the pre-vote.
    asked_for_votes(&cluster, 20).await;
    cluster.write(0..10).await;
    cluster.net.heal();
    cluster.check(&(0..10).collect::<Vec<_>>(), &[]).await;
    // More than a candidate would wait: five seconds of heartbeats to two followers.
    let heartbeats = || cluster.net.traffic().calls[&(RaftCall::Heartbeat as u8)];
    let end = heartbeats() + 100;
    cluster.until("heartbeats", || heartbeats() >= end).await;
    assert_eq!(cluster.leader().await, leader);
    assert!(cluster.nodes.values().all(|node| node.group.term() == term), "a term was spent");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_hears_nobody_but_is_heard_does_not_depose_the_leader() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let (deaf, term) = (cluster.others(leader)[0], cluster.at(leader).group.term());
    cluster.others(deaf).into_iter().for_each(|other| cluster.net.cut(other, deaf));
    asked_for_votes(&cluster, 10).await;
    cluster.write(0..5).await;
    assert_eq!((cluster.leader().await, cluster.at(leader).group.term()), (leader, term));
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_takes_proposals_and_reads() {
    let cluster = Cluster::start(3).await;
    cluster.write(0..3).await;
    let leader = cluster.leader().await;
    let follower = cluster.others(leader)[0];
    let elsewhere = GroupError::NotLeader { leader: Some(leader) };
    assert_eq!(cluster.propose(follower, 9).await, Err(elsewhere.clone()));
    assert_eq!(cluster.at(follower).group.read_index().await, Err(elsewhere));
    cluster.at(leader).group.read_index().await.expect("leads");
    cluster.isolate(leader);
    let alone = timeout(Duration::from_secs(10), cluster.at(leader).group.read_index()).await.expect("answered");
    assert!(matches!(alone, Err(GroupError::NotLeader { .. })), "a leader without a quorum must not read: {alone:?}");
    cluster.net.heal();
    cluster.check(&[0, 1, 2], &[9]).await;
}

#[tokio::test(start_paused = true)]
async fn leadership_is_handed_over_under_load_and_nothing_is_lost() {
    let cluster = Cluster::start(3).await;
    let old = cluster.leader().await;
    let new = cluster.others(old)[1];
    let mut watch = cluster.at(old).group.watch_leader();
    let load = futures::future::join_all((0..200).map(|number| cluster.propose(old, number)));
    let started = Instant::now();
    let (handed, outcomes) = tokio::join!(cluster.at(old).group.transfer_leader(new), load);
    handed.expect("handed over");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(cluster.leader().await, new);
    let seen = timeout(super::cluster::DEADLINE, async { while watch.changed().await.expect("runs").leader != Some(new) {} });
    seen.await.expect("the watch tells");
    let numbered = || outcomes.iter().zip(0..);
    let acknowledged: Vec<u64> = numbered().filter(|(outcome, _)| outcome.is_ok()).map(|(_, number)| number).collect();
    let refused = |outcome: &Result<_, GroupError>| matches!(outcome, Err(GroupError::NotLeader { .. }));
    let refused: Vec<u64> = numbered().filter(|(outcome, _)| refused(outcome)).map(|(_, number)| number).collect();
    cluster.check(&acknowledged, &refused).await;
    let lost = cluster.at(new).group.transfer_leader(node(9)).await;
    assert_eq!(lost, Err(GroupError::NotMember { node: node(9) }));
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_a_term_is_not_written_in_a_later_one_of_the_same_leader() {
    let cluster = Cluster::start(3).await;
    let (first, second) = (cluster.leader().await, cluster.others(cluster.leader().await)[0]);
    let term = cluster.at(first).group.term();
    let in_term = |number| cluster.at(first).group.propose_in(term, EntryKind::Append, line(number));
    in_term(0).await.expect("leads");
    cluster.at(first).group.transfer_leader(second).await.expect("handed over");
    assert!(matches!(in_term(1).await, Err(GroupError::NotLeader { .. })));
    cluster.leader().await;
    cluster.at(second).group.transfer_leader(first).await.expect("handed back");
    assert_eq!(cluster.leader().await, first);
    let refused = in_term(2).await;
    assert!(matches!(refused, Err(GroupError::NotLeader { .. })), "{refused:?}");
    cluster.write(3..4).await;
    cluster.check(&[0, 3], &[1, 2]).await;
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_cannot_take_over_leaves_the_group_with_a_leader() {
    let cluster = Cluster::start(3).await;
    let old = cluster.leader().await;
    let gone = cluster.others(old)[0];
    cluster.isolate(gone);
    let handed = cluster.at(old).group.transfer_leader(gone).await;
    assert!(matches!(handed, Err(GroupError::NoLeader(_))), "{handed:?}");
    let rest = cluster.others(gone).into_iter().collect();
    let leader = cluster.leader_among(&rest).await;
    cluster.propose(leader, 1).await.expect("committed");
    cluster.net.heal();
    cluster.check(&[1], &[]).await;
}

#[tokio::test(start_paused = true)]
async fn all_replicas_may_restart_at_once() {
    let mut cluster = Cluster::start(3).await;
    cluster.write(0..100).await;
    let before = cluster.agreed().await;
    for number in 1..=3 {
        cluster.stop(node(number)).await;
    }
    for number in 1..=3 {
        cluster.restart(node(number)).await;
    }
    let leader = cluster.leader().await;
    cluster.at(leader).group.read_index().await.expect("leads");
    assert_eq!(cluster.agreed().await, before);
    let status = cluster.at(leader).group.status();
    assert_eq!((status.role, status.voters.len(), status.lag.len()), (Role::Leader, 3, 2));
    assert!(status.applied == status.last && status.durable == status.last && status.committed == status.last, "{status:?}");
}
