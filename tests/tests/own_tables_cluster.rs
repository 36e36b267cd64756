//! Tables of single tenants while an operator rolls out another list: nodes archive into different tables at the same time,
//! and every reader sees each row once.

use std::collections::BTreeSet;
use std::path::Path;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use watershed_client::Client;
use watershed_tests::cluster::Cluster;
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::pyiceberg::read_table;
use watershed_tests::{texts, until};

const IN_HOT: &str = "SELECT count(*) FROM events WHERE _tier = 'hot'";
const IDS: &str = "SELECT id FROM events ORDER BY 1";
const TENANTS: [&str; 4] = ["default", "acme", "globex", "initech"];
const RUN: u64 = 40;
const LIST: &str = "WATERSHED_LAKE_OWN_TABLES";
/// Of each node: none yet, a part, and one that others are to lose.
const BEFORE: [&str; 3] = ["", "acme", "acme,globex,initech"];
const AFTER: &str = "acme,globex";
/// Two tenants lie on all shards, so that each node archives them into what it takes for their table.
const SPREAD: (&str, &str) = ("WATERSHED_HIGH_VOLUME_TENANTS", "acme,globex");
const TRIMS: [(&str, &str); 2] = [("WATERSHED_HOT_RETENTION", "1s"), ("FAILPOINTS", "trim::without_dedupe_window=return")];

async fn client(cluster: &Cluster, place: usize, tenant: &str) -> Client {
    cluster.node(place).client().await.with_tenant(tenant).expect("a name")
}

/// A run of every tenant through a node.
async fn send(cluster: &Cluster, place: usize, run: u64) {
    for tenant in TENANTS {
        let exporter = Exporter::connect(&cluster.node(place).grpc).await.with_tenant(tenant);
        exporter.until_taken(spans(run * RUN, RUN)).await;
    }
}

/// None while it cannot be told.
async fn count(client: &Client, sql: &str) -> Option<i64> {
    let rows = client.query(sql).await.ok()?;
    let batch = rows.iter().find(|batch| batch.num_rows() > 0)?;
    Some(batch.column(0).as_primitive::<Int64Type>().value(0))
}

/// Every row is there once, from every node: at any time, in whichever tier, and when all is in the lake.
async fn once(cluster: &Cluster, runs: u64, is_archived: bool) {
    let expected = runs * RUN;
    for (place, tenant) in (0..cluster.nodes.len()).flat_map(|place| TENANTS.map(|tenant| (place, tenant))) {
        let client = client(cluster, place, tenant).await;
        if is_archived {
            until("it is archived", async || count(&client, IN_HOT).await == Some(0)).await;
        }
        until("it answers", async || count(&client, IN_HOT).await.is_some()).await;
        let ids = texts(&client, IDS).await;
        let distinct = ids.iter().collect::<BTreeSet<_>>().len() as u64;
        assert_eq!((ids.len() as u64, distinct), (expected, expected), "{tenant} asked of node {place}");
    }
}

/// Rows of each table, as PyIceberg sees them, which are of the tenants that it may be of.
fn rows(dir: &Path) -> [u64; 4] {
    let tables = [("events", None), ("events_acme", Some("acme")), ("events_globex", Some("globex"))];
    let tables = tables.into_iter().chain([("events_initech", Some("initech"))]);
    let mut rows = tables.map(|(table, tenant)| {
        let found = &read_table(dir, table)["iceberg"];
        assert_eq!(found["rows"], found["places"], "{table}: no place is twice in it");
        let tenants: Vec<&str> = found["tenants"].as_array().expect("a list").iter().filter_map(|one| one.as_str()).collect();
        assert!(tenant.is_none() || tenants.iter().all(|one| Some(*one) == tenant), "{table}: {tenants:?}");
        found["rows"].as_u64().expect("a number")
    });
    std::array::from_fn(|_| rows.next().expect("four tables"))
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_different_lists_archive_each_row_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let environment = [&[SPREAD][..], &TRIMS].concat();
    let mut cluster = Cluster::start_each_with(dir.path(), LIST, &BEFORE, &environment);
    let mut runs = 0;
    for place in [0, 1, 2] {
        send(&cluster, place, runs).await;
        runs += 1;
        once(&cluster, runs, place > 0).await;
    }
    let before = rows(dir.path());
    assert_eq!(before.iter().sum::<u64>(), TENANTS.len() as u64 * runs * RUN, "no row is in two tables: {before:?}");
    // A node that has no list archived rows of tenants that others archived elsewhere.
    assert!(before[0] > runs * RUN && before[1] > 0 && before[2] > 0, "{before:?}");

    for place in [2, 0, 1] {
        cluster.end(place);
        cluster.tell(place, LIST, AFTER);
        // While it is away, others lead its shards, with lists of their own.
        send(&cluster, (place + 1) % 3, runs).await;
        runs += 1;
        cluster.start_again();
        once(&cluster, runs, false).await;
    }
    once(&cluster, runs, true).await;
    let all = rows(dir.path());
    assert_eq!(all.iter().sum::<u64>(), TENANTS.len() as u64 * runs * RUN, "no row is in two tables: {all:?}");
    send(&cluster, 0, runs).await;
    runs += 1;
    once(&cluster, runs, true).await;
    let grown = rows(dir.path());
    let more: Vec<u64> = grown.iter().zip(all).map(|(now, before)| now - before).collect();
    assert_eq!(more, [2 * RUN, RUN, RUN, 0], "all nodes have the new list: of two tenants each has a table");
}
