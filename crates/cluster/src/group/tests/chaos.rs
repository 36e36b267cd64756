//! Random cuts, restarts, silent disks, purges and hand-overs; then the checker.

use std::time::Duration;

use tokio::time::timeout;
use watershed_schema::Lsn;

use super::cluster::{Cluster, node};
use super::net::Weather;
use crate::group::GroupError;

const SEEDS: u64 = 12;
const STEPS: u64 = 40;
const NODES: u64 = 3;

struct Dice(u64);

impl Dice {
    /// A number of `0..below`.
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// What the user was told.
#[derive(Default)]
struct Told {
    next: u64,
    acknowledged: Vec<u64>,
    refused: Vec<u64>,
}

impl Told {
    /// Asks every node at once, as a user who does not know the leader.
    async fn burst(&mut self, cluster: &Cluster, entries: u64) {
        let numbers = self.next..self.next + entries * NODES;
        self.next = numbers.end;
        let ask = |number: u64| timeout(Duration::from_secs(2), cluster.propose(node(number % NODES + 1), number));
        let outcomes = futures::future::join_all(numbers.clone().map(ask)).await;
        for (number, outcome) in numbers.zip(outcomes) {
            match outcome {
                Ok(Ok(_)) => self.acknowledged.push(number),
                Ok(Err(GroupError::NotLeader { .. })) => self.refused.push(number),
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }
}

async fn disturb(cluster: &mut Cluster, dice: &mut Dice) {
    let (one, other) = (node(dice.roll(NODES) + 1), node(dice.roll(NODES) + 1));
    match dice.roll(10) {
        0 => cluster.isolate(one),
        1 | 2 => cluster.net.cut(one, other),
        3 => cluster.net.heal(),
        4 | 5 => cluster.restart(one).await,
        6 => cluster.at(one).store.fall_silent(),
        7 => cluster.at(one).store.speak(),
        8 => {
            let point = cluster.at(one).group.status().applied.map_or(0, |applied| applied.0.saturating_sub(dice.roll(20)));
            let purge = cluster.at(one).group.purge_upto(Lsn(point));
            drop(timeout(Duration::from_secs(1), purge).await);
        }
        _ => drop(timeout(Duration::from_secs(1), cluster.at(one).group.transfer_leader(other)).await),
    }
}

async fn storm(seed: u64) -> usize {
    let (mut cluster, mut dice, mut told) = (Cluster::start(NODES).await, Dice(seed), Told::default());
    for _ in 0..STEPS {
        let bad = Weather { lost: dice.roll(3), repeated: dice.roll(5), delay_ms_max: dice.roll(30) };
        cluster.net.set_weather(bad, dice.roll(u64::MAX));
        disturb(&mut cluster, &mut dice).await;
        told.burst(&cluster, 1 + dice.roll(8)).await;
        // How long this weather lasts; nothing is waited for, and the clock is the paused one.
        tokio::time::sleep(Duration::from_millis(dice.roll(1500))).await;
    }
    cluster.net.heal();
    cluster.net.set_weather(Weather::default(), 0);
    cluster.nodes.values().for_each(|node| node.store.speak());
    told.burst(&cluster, 1).await;
    cluster.check(&told.acknowledged, &told.refused).await;
    for number in 1..=NODES {
        cluster.stop(node(number)).await;
    }
    told.acknowledged.len()
}

#[tokio::test(start_paused = true)]
async fn every_acknowledged_entry_is_applied_once_and_in_one_order_everywhere() {
    let mut acknowledged = 0;
    for seed in 0..SEEDS {
        println!("seed {seed}");
        acknowledged += Box::pin(storm(seed)).await;
    }
    assert!(acknowledged > 300, "only {acknowledged} entries were acknowledged: the storm is too strong to test anything");
}
