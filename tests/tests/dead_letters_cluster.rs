//! What the lake refuses of a shard is the shard's: every node tells of it, and it outlives the node that gave it up.

use std::collections::BTreeSet;

use watershed_client::DeadLetter;
use watershed_tests::cluster::Cluster;
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::{answered, number, texts, until};

const TENANTS: [&str; 3] = ["default", "acme", "globex"];
const RUN: u64 = 40;
const IN_HOT: &str = "SELECT count(*) FROM events WHERE _tier = 'hot'";
const IDS: &str = "SELECT id FROM events ORDER BY 1";

/// As a node tells of them, by name.
async fn letters(cluster: &Cluster, place: usize) -> Vec<DeadLetter> {
    let client = cluster.node(place).client().await;
    let mut letters = answered(async || client.dead_letters().await).await;
    letters.sort_by(|one, other| one.name.cmp(&other.name));
    letters
}

fn rows(letters: &[DeadLetter]) -> u64 {
    letters.iter().map(|letter| letter.rows).sum()
}

/// Where the node is that leads a shard.
async fn leader_of(cluster: &Cluster, shard: u32) -> usize {
    let now = cluster.settled(0).await;
    let leads = now.replicas.iter().find(|one| one.leader == one.node && one.shard == Some(shard)).expect("somebody leads");
    let node = now.nodes.iter().find(|node| node.node == leads.node).expect("is one of them");
    cluster.addresses().iter().position(|address| *address == node.address).expect("one of ours")
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_outlive_the_node_that_wrote_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let refuses = [("WATERSHED_ARCHIVE_ATTEMPTS", "1"), ("FAILPOINTS", "lake::refused=return")];
    let mut cluster = Cluster::start_with(dir.path(), 3, &refuses);
    for (place, tenant) in TENANTS.into_iter().enumerate() {
        let exporter = Exporter::connect(&cluster.node(place).grpc).await.with_tenant(tenant);
        until("it is acknowledged", async || exporter.traces(spans(0, RUN)).await.is_ok()).await;
    }
    let all = RUN * TENANTS.len() as u64;
    until("all rows are given up", async || rows(&letters(&cluster, 0).await) == all).await;
    let told = letters(&cluster, 0).await;
    for place in 1..3 {
        assert_eq!(letters(&cluster, place).await, told, "every node tells of all shards");
    }

    let gone = leader_of(&cluster, told[0].shard).await;
    cluster.kill(gone);
    std::fs::remove_dir_all(dir.path().join(format!("node-{gone}"))).expect("a folder");
    let left: Vec<usize> = (0..3).filter(|place| *place != gone).collect();
    for place in &left {
        assert_eq!(letters(&cluster, *place).await, told, "its disk held nothing that the others lack");
    }

    // They refuse no longer.
    left.iter().for_each(|place| cluster.kill(*place));
    cluster.set_environment(&[]);
    cluster.start_these(&left);
    let other = cluster.node(left[1]).client().await;
    let replayed = answered(async || other.replay_dead_letters(Vec::new()).await).await;
    assert!(replayed.iter().all(|one| one.refused.is_empty()), "{replayed:?}");
    for place in &left {
        assert_eq!(letters(&cluster, *place).await, []);
        for tenant in TENANTS {
            let client = cluster.node(*place).client().await.with_tenant(tenant).expect("a name");
            until("nothing is counted in both tiers", async || number(&client, IN_HOT).await == 0).await;
            let ids = texts(&client, IDS).await;
            let distinct: BTreeSet<&String> = ids.iter().collect();
            assert_eq!((ids.len() as u64, distinct.len() as u64), (RUN, RUN), "{tenant}'s rows, each once");
        }
    }
}
