//! Tenants with tables of their own on a real node: where their rows are, and that no reader can tell.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};
use watershed_client::{Client, Filter, Start};
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::pyiceberg::read_table;
use watershed_tests::server::Server;
use watershed_tests::{number, texts, until};

const COUNT: &str = "SELECT count(*) FROM events";
const IN_HOT: &str = "SELECT count(*) FROM events WHERE _tier = 'hot'";
const IDS: &str = "SELECT id FROM events ORDER BY 1";
const TENANTS: [&str; 2] = ["default", "acme"];
/// Archived within a second and let go of soon after.
const FLAGS: [&str; 6] = ["--shards", "1", "--flush-interval", "1s", "--hot-retention", "1s"];
const TRIMS: (&str, &str) = ("FAILPOINTS", "trim::without_dedupe_window=return");
const LISTED: [&str; 2] = ["--set", "lake_own_tables=globex,acme"];
const RUN: u64 = 40;

fn start(dir: &Path, flags: &[&str]) -> Server {
    Server::start_with(dir, &[&FLAGS[..], flags].concat(), &[TRIMS]).expect("starts")
}

async fn client(server: &Server, tenant: &str) -> Client {
    server.client().await.with_tenant(tenant).expect("a name")
}

/// A run of each tenant, archived.
async fn archive(server: &Server, run: u64) {
    for tenant in TENANTS {
        let exporter = Exporter::connect(&server.grpc).await.with_tenant(tenant);
        exporter.traces(spans(run * RUN, RUN)).await.expect("acknowledged");
    }
    for tenant in TENANTS {
        let client = client(server, tenant).await;
        until("it is archived", async || number(&client, IN_HOT).await == 0).await;
    }
}

fn ended(server: Server) {
    server.terminate();
    assert!(server.ended().success());
}

/// Rows, places and tenants of a table, as PyIceberg sees them.
fn seen(dir: &Path, table: &str) -> Value {
    let found = &read_table(dir, table)["iceberg"];
    json!([found["rows"], found["places"], found["tenants"]])
}

/// Ids that a stream from the beginning tells; none may come twice or be lost.
async fn told(client: &Client, count: usize) -> BTreeSet<String> {
    let (mut ids, mut stream) = (BTreeSet::new(), client.subscribe(Filter::default(), Start::Earliest));
    while ids.len() < count {
        let item = tokio::time::timeout(Duration::from_secs(30), stream.next()).await;
        let item = item.unwrap_or_else(|_late| panic!("{} of {count} came", ids.len()));
        let item = item.expect("does not end").expect("without a hole");
        assert_eq!(item.lost, None, "nothing is lost");
        for (seq, event) in item.events {
            assert!(ids.insert(event.id.expect("an id")), "{seq} came twice");
        }
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_tenants_rows_are_in_its_own_table_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &LISTED);
    archive(&server, 0).await;
    archive(&server, 1).await;
    let ours = client(&server, "default").await;
    for tenant in TENANTS {
        let client = client(&server, tenant).await;
        let ids = texts(&client, IDS).await.into_iter().collect::<BTreeSet<_>>();
        assert_eq!((number(&client, COUNT).await, ids.len() as u64), (80, 2 * RUN), "{tenant}");
        assert_eq!(number(&client, &format!("{COUNT} WHERE ns = '{tenant}'")).await, 80);
    }
    let described = ours.lake().table("events_acme").partitions(0).await.expect("answers");
    assert_eq!(described.tables, ["events", "events_acme", "events_globex"]);
    assert_eq!(described.partitions.iter().map(|one| one.rows).sum::<u64>(), 2 * RUN);
    assert!(!ours.lake().table("events_acme").snapshots().await.expect("answers").is_empty());
    let files = ours.lake().table("events_acme").files(0, "", 0).await.expect("answers").files;
    assert!(!files.is_empty() && files.iter().all(|file| file.path.contains("/events_acme/data/")), "{files:?}");
    let unknown = ours.lake().table("events_nobody").files(0, "", 0).await.expect_err("there is none").to_string();
    assert!(unknown.contains("no table events_nobody: there are events, events_acme, events_globex"), "{unknown}");
    ended(server);
    assert_eq!(seen(dir.path(), "events"), json!([80, 80, ["default"]]));
    assert_eq!(seen(dir.path(), "events_acme"), json!([80, 80, ["acme"]]));
    assert_eq!(seen(dir.path(), "events_globex"), json!([0, 0, []]), "it has sent nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_and_unlisted_in_turn_sql_and_streams_tell_each_event_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let stages = [&[][..], &LISTED, &[], &LISTED, &[]];
    for (stage, flags) in stages.into_iter().enumerate() {
        let server = start(dir.path(), flags);
        archive(&server, stage as u64).await;
        let count = (stage + 1) * 40;
        let any = client(&server, "default").await;
        let trimmed = async || {
            let shard = any.status().await.expect("answers").shards.remove(0);
            shard.trimmed_seq == shard.tail_seq && shard.tail_seq == (1 + TENANTS.len() * count) as u64
        };
        until("all is trimmed", trimmed).await;
        ended(server);
        // The newest entries stay in memory, trimmed or not: now they are gone, and the other setting reads.
        let server = start(dir.path(), stages[(stage + 1) % 2]);
        for tenant in TENANTS {
            let client = client(&server, tenant).await;
            let ids = texts(&client, IDS).await;
            assert_eq!(ids.len(), count, "stage {stage}, {tenant}");
            assert_eq!(told(&client, count).await, ids.into_iter().collect(), "stage {stage}, {tenant}");
        }
        ended(server);
    }
    assert_eq!(seen(dir.path(), "events"), json!([320, 320, ["acme", "default"]]));
    assert_eq!(seen(dir.path(), "events_acme"), json!([80, 80, ["acme"]]), "of the two stages in which it was listed");
}

#[tokio::test(flavor = "multi_thread")]
async fn upkeep_keeps_answers_and_deletion_empties_both_tables() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &["--set", "lake_compaction=false"]);
    archive(&server, 0).await;
    ended(server);
    let keep = ["lake_compaction=false", "lake_snapshot_retention=0s", "lake_snapshots_kept=1"];
    let flags: Vec<_> = LISTED.into_iter().chain(keep.into_iter().flat_map(|setting| ["--set", setting])).collect();
    let server = start(dir.path(), &flags);
    for run in 1..4 {
        archive(&server, run).await;
    }
    let (ours, theirs) = (client(&server, "default").await, client(&server, "acme").await);
    let rows = [texts(&ours, IDS).await, texts(&theirs, IDS).await];
    assert_eq!(rows.each_ref().map(Vec::len), [160, 160]);
    let steps = ours.maintain(false).await.expect("works");
    assert!(steps.iter().all(|step| step.failed.is_empty()), "{steps:?}");
    let rounds: Vec<_> =
        steps.iter().filter(|step| step.job == "compaction").map(|step| (step.files_removed, step.files_added)).collect();
    assert!(rounds.contains(&(3, 1)), "the own table's three: {steps:?}");
    assert!(steps.iter().any(|step| step.job == "expiry" && step.snapshots_removed >= 6), "of both tables: {steps:?}");
    assert_eq!([texts(&ours, IDS).await, texts(&theirs, IDS).await], rows);

    let steps = theirs.delete_rows(None).await.expect("deletes");
    assert_eq!(steps.iter().map(|step| step.rows_removed).sum::<u64>(), 4 * RUN, "{steps:?}");
    assert_eq!([texts(&ours, IDS).await, texts(&theirs, IDS).await], [rows[0].clone(), Vec::new()]);
    archive(&server, 4).await;
    assert_eq!([number(&ours, COUNT).await, number(&theirs, COUNT).await], [200, 40], "what comes later is kept");
    ended(server);
    assert_eq!(seen(dir.path(), "events"), json!([200, 200, ["default"]]));
    assert_eq!(seen(dir.path(), "events_acme"), json!([40, 40, ["acme"]]));
}
