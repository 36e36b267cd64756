//! Nodes come and go.

use std::collections::BTreeSet;

use watershed_schema::NodeId;

use super::cluster::{Cluster, node};
use crate::group::{GroupError, Role};

fn nodes(numbers: &[u64]) -> BTreeSet<NodeId> {
    numbers.iter().map(|number| node(*number)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_node_learns_then_votes_and_another_goes() {
    let mut cluster = Cluster::start(3).await;
    cluster.write(0..200).await;
    let leader = cluster.leader().await;
    cluster.add(node(4)).await;
    let group = cluster.at(leader).group.clone();
    group.add_learner(node(4)).await.expect("added");
    group.add_learner(node(4)).await.expect("is there already");
    cluster.check(&(0..200).collect::<Vec<_>>(), &[]).await;
    assert_eq!(cluster.at(node(4)).group.status().role, Role::Learner);
    cluster.until("caught up", || group.status().lag.get(&node(4)) == Some(&0)).await;
    group.change_voters(nodes(&[1, 2, 3, 4])).await.expect("votes");
    let gone = cluster.others(leader)[0];
    group.remove(gone).await.expect("removed");
    cluster.stop(gone).await;
    cluster.nodes.remove(&gone);
    cluster.write(200..300).await;
    let status = group.status();
    assert_eq!(status.voters, cluster.nodes.keys().copied().collect());
    assert!(status.learners.is_empty() && !status.lag.contains_key(&gone), "{status:?}");
    // The newcomer counts: with another one cut off, the quorum needs it.
    let cut = cluster.nodes.keys().copied().find(|id| *id != leader && *id != node(4)).expect("a third");
    cluster.isolate(cut);
    cluster.propose(leader, 300).await.expect("committed");
    cluster.net.heal();
    cluster.check(&(0..=300).collect::<Vec<_>>(), &[]).await;
}

#[tokio::test(start_paused = true)]
async fn changes_that_are_too_large_or_too_early_are_refused() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let group = cluster.at(leader).group.clone();
    assert_eq!(group.change_voters(nodes(&[1, 2, 3, 4])).await, Err(GroupError::NotMember { node: node(4) }));
    assert_eq!(group.change_voters(nodes(&[1])).await, Err(GroupError::OneAtATime));
    assert_eq!(group.change_voters(nodes(&[])).await, Err(GroupError::OneAtATime));
    assert_eq!(group.change_voters(nodes(&[1, 2, 3])).await, Ok(()));
    cluster.add(node(4)).await;
    cluster.isolate(node(4));
    group.add_learner(node(4)).await.expect("added");
    cluster.write(0..100).await;
    let early = group.change_voters(nodes(&[1, 2, 3, 4])).await;
    assert!(matches!(early, Err(GroupError::Lagging { entries: 100.., .. })), "{early:?}");
    let follower = cluster.others(leader)[0];
    let elsewhere = Err(GroupError::NotLeader { leader: Some(leader) });
    assert_eq!(cluster.at(follower).group.add_learner(node(5)).await, elsewhere);
    assert_eq!(cluster.at(follower).group.remove(node(4)).await, elsewhere);
    group.remove(node(4)).await.expect("a learner goes");
    assert!(group.status().learners.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_second_change_waits_for_the_first() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let group = cluster.at(leader).group.clone();
    cluster.isolate(leader);
    let first = tokio::spawn({
        let group = group.clone();
        async move { group.add_learner(node(4)).await }
    });
    cluster.until("the first change in the log", || group.status().learners.contains(&node(4))).await;
    assert_eq!(group.add_learner(node(5)).await, Err(GroupError::MembershipBusy));
    cluster.net.heal();
    let outcome = tokio::time::timeout(super::cluster::DEADLINE, first).await.expect("answered").expect("no panic");
    assert!(matches!(outcome, Ok(()) | Err(GroupError::Unknown)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_may_remove_itself() {
    let mut cluster = Cluster::start(3).await;
    cluster.write(0..10).await;
    let leader = cluster.leader().await;
    cluster.at(leader).group.remove(leader).await.expect("removed");
    let rest: BTreeSet<NodeId> = cluster.others(leader).into_iter().collect();
    let next = cluster.leader_among(&rest).await;
    // Nobody tells it who leads now, but it knows that it does not.
    let gone = &cluster.at(leader).group;
    cluster.until("end of its leadership", || gone.leader() != Some(leader) && gone.status().leader != Some(leader)).await;
    assert!(!gone.votes() && cluster.at(next).group.votes());
    cluster.stop(leader).await;
    cluster.nodes.remove(&leader);
    cluster.propose(next, 10).await.expect("committed");
    assert_eq!(cluster.at(next).group.status().voters, rest);
    cluster.check(&(0..=10).collect::<Vec<_>>(), &[]).await;
}
