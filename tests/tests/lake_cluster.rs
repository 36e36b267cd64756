//! Upkeep of the lake, asked of whichever node: the committer does it, and what is deleted is gone from all of them. Two of
//! the tenants have tables of their own, three nodes archive into them.

use std::collections::BTreeMap;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use watershed_client::{Client, UpkeepStep};
use watershed_tests::cluster::Cluster;
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::{answered, texts, until};

const COUNT: &str = "SELECT count(*) FROM events";
const IN_HOT: &str = "SELECT count(*) FROM events WHERE _tier = 'hot'";
const IDS: &str = "SELECT id FROM events ORDER BY 1";
/// Tenants that lie on different shards, most likely.
const TENANTS: [&str; 4] = ["default", "acme", "globex", "initech"];
const RUN: u64 = 20;

async fn client(cluster: &Cluster, place: usize, tenant: &str) -> Client {
    cluster.node(place).client().await.with_tenant(tenant).expect("a name")
}

/// A run of every tenant, each through another node.
async fn send(cluster: &Cluster, run: u64) {
    for (number, tenant) in TENANTS.iter().enumerate() {
        let exporter = Exporter::connect(&cluster.node(number % 3).grpc).await.with_tenant(tenant);
        // Leaders may change on a machine that is busy with other tests; a retry is recognised.
        until("it is acknowledged", async || exporter.traces(spans(run * RUN, RUN)).await.is_ok()).await;
    }
}

/// The place and the number of each node, the committer first.
async fn nodes(cluster: &Cluster) -> Vec<(usize, u64)> {
    let told = client(cluster, 0, "default").await.cluster().describe().await.expect("answers").nodes;
    let place = |address: &String| cluster.addresses().iter().position(|other| other == address).expect("one of ours");
    let mut nodes: Vec<_> = told.iter().map(|node| (!node.controller, place(&node.address), node.node)).collect();
    nodes.sort_unstable();
    nodes.into_iter().map(|(_, place, node)| (place, node)).collect()
}

async fn archived(cluster: &Cluster) {
    for tenant in TENANTS {
        let client = client(cluster, 0, tenant).await;
        until("everything is archived", async || count(&client, IN_HOT).await == Some(0)).await;
    }
}

/// None while it cannot be told.
async fn count(client: &Client, sql: &str) -> Option<i64> {
    let rows = client.query(sql).await.ok()?;
    let batch = rows.iter().find(|batch| batch.num_rows() > 0)?;
    Some(batch.column(0).as_primitive::<Int64Type>().value(0))
}

fn failed(steps: &[UpkeepStep]) -> Vec<String> {
    steps.iter().filter(|step| !step.failed.is_empty()).map(|step| format!("{}: {}", step.job, step.failed)).collect()
}

fn rows_removed(steps: &[UpkeepStep]) -> u64 {
    steps.iter().map(|step| step.rows_removed).sum()
}

async fn ids(cluster: &Cluster, place: usize) -> BTreeMap<&'static str, Vec<String>> {
    let mut all = BTreeMap::new();
    for tenant in TENANTS {
        let client = client(cluster, place, tenant).await;
        until("it answers", async || count(&client, COUNT).await.is_some()).await;
        all.insert(tenant, texts(&client, IDS).await);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_takes_upkeep_to_the_committer_and_deletion_reaches_every_node() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::start_with(dir.path(), 3, &[("WATERSHED_LAKE_OWN_TABLES", "acme,initech")]);
    for run in 0..2 {
        send(&cluster, run).await;
        archived(&cluster).await;
    }
    let nodes = nodes(&cluster).await;
    let mut files_removed = 0;
    for (place, node) in &nodes {
        let steps = answered(async || client(&cluster, *place, "default").await.maintain(false).await).await;
        assert_eq!(failed(&steps), [""; 0], "asked of node {node}");
        files_removed += steps.iter().filter(|step| step.job == "compaction").map(|step| step.files_removed).sum::<u64>();
    }
    assert!(files_removed > 0, "two runs became one");

    // Not staged yet, and led by any node: it goes all the same, for everybody.
    send(&cluster, 2).await;
    let before = ids(&cluster, 0).await;
    let (other, _) = nodes[1];
    let steps = answered(async || client(&cluster, other, "acme").await.delete_rows(None).await).await;
    assert_eq!((failed(&steps), rows_removed(&steps)), (vec![], 3 * RUN), "{steps:?}");
    for place in 0..3 {
        let acme = client(&cluster, place, "acme").await;
        until("nothing is left", async || count(&acme, COUNT).await == Some(0)).await;
        let mut left = ids(&cluster, place).await;
        left.insert("acme", before["acme"].clone());
        assert_eq!(left, before, "the others' rows stay, place {place}");
    }

    // What a node led that is down others lead; it holds nothing that they lack, dead letters neither.
    let (gone, _) = nodes[2];
    cluster.kill(gone);
    let steps = answered(async || client(&cluster, other, "globex").await.delete_rows(None).await).await;
    assert_eq!((failed(&steps), rows_removed(&steps)), (vec![], 3 * RUN), "{steps:?}");
    let globex = client(&cluster, other, "globex").await;
    until("nothing is left", async || count(&globex, COUNT).await == Some(0)).await;
}
