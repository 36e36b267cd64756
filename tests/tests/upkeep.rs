//! A real node keeps its lake in shape, and no reader can tell.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use watershed_client::Client;
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::pyiceberg::read_lake;
use watershed_tests::server::Server;
use watershed_tests::{number, texts, until};

const COUNT: &str = "SELECT count(*) FROM events";
const IN_HOT: &str = "SELECT count(*) FROM events WHERE _tier = 'hot'";
const ROWS: &str = "SELECT id || trace_id || span_id || attributes FROM events ORDER BY 1";
const FLUSH: [&str; 2] = ["--flush-interval", "1s"];
/// Runs that are archived one by one, and events of each.
const RUNS: u64 = 6;
const RUN: u64 = 50;
/// The same, as SQL counts.
const OF_RUN: i64 = 50;

fn start(dir: &Path, settings: &[&str]) -> Server {
    let set = settings.iter().flat_map(|setting| ["--set", setting]);
    Server::start(dir, &FLUSH.into_iter().chain(set).collect::<Vec<_>>())
}

async fn send(server: &Server, first: u64) {
    Exporter::connect(&server.grpc).await.traces(spans(first, RUN)).await.expect("acknowledged");
}

async fn archived(client: &Client) {
    until("everything is archived", async || number(client, IN_HOT).await == 0).await;
}

/// A lake of many small files.
async fn fragmented(dir: &Path) -> Vec<String> {
    let server = start(dir, &["lake_compaction=false"]);
    let client = server.client().await;
    for run in 0..RUNS {
        send(&server, run * RUN).await;
        archived(&client).await;
    }
    let rows = texts(&client, ROWS).await;
    server.terminate();
    assert!(server.ended().success());
    rows
}

fn without_files(mut seen: Value) -> (Value, u64) {
    let files = seen["files"].take().as_u64().expect("a count");
    (seen, files)
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_become_few_and_every_reader_says_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let rows = fragmented(dir.path()).await;
    assert_eq!(rows.len() as u64, RUNS * RUN);
    let (before, files) = without_files(read_lake(dir.path()));
    assert_eq!(files, RUNS, "one for each run");

    let server = start(dir.path(), &["lake_compaction_interval=1s"]);
    let client = server.client().await;
    until("a round", async || server.metric("watershed_compaction_rounds_total") >= 1.0).await;
    assert_eq!(texts(&client, ROWS).await, rows);
    assert!(server.metric("watershed_compaction_files_replaced_total") >= RUNS as f64);
    assert!(server.metric("watershed_compaction_bytes_written_total") > 0.0);
    let (after, few) = without_files(read_lake(dir.path()));
    assert_eq!((after, few), (before, 1));

    // Archiving and compaction in turn.
    for run in RUNS..2 * RUNS {
        send(&server, run * RUN).await;
        assert_eq!(texts(&client, ROWS).await.len() as u64, (run + 1) * RUN, "in the lake, in both tiers or hot: each row once");
    }
    archived(&client).await;
    let rows = texts(&client, ROWS).await;
    assert_eq!(rows.len() as u64, 2 * RUNS * RUN);
    server.terminate();
    assert!(server.ended().success());
    let seen = read_lake(dir.path());
    assert_eq!((&seen["iceberg"]["rows"], &seen["iceberg"]["places"]), (&Value::from(rows.len()), &Value::from(rows.len())));
}

/// Parquet files in the folder.
fn data_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let inside = entries.flat_map(|path| if path.is_dir() { data_files(&path) } else { vec![path] });
    inside.filter(|path| path.extension().is_some_and(|ending| ending == "parquet")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_snapshots_and_orphans_go_when_somebody_asks() {
    let dir = tempfile::tempdir().expect("a folder");
    let rows = fragmented(dir.path()).await;
    let (before, _) = without_files(read_lake(dir.path()));
    let files = data_files(dir.path());
    assert_eq!(files.len() as u64, RUNS);
    let orphan = files[0].with_file_name("9-1-2-3.parquet");
    std::fs::copy(&files[0], &orphan).expect("copies");
    let old = SystemTime::now() - Duration::from_secs(2 * 24 * 3_600);
    File::open(&orphan).and_then(|file| file.set_modified(old)).expect("grows old");

    let server = start(dir.path(), &["lake_compaction=false", "lake_snapshot_retention=0s", "lake_snapshots_kept=1"]);
    let client = server.client().await;
    let dry = client.maintain(true).await.expect("looks");
    assert_eq!(dry.len(), 1, "{dry:?}");
    assert!(dry[0].job == "orphans" && dry[0].names.len() == 1 && dry[0].names[0].ends_with("/9-1-2-3.parquet"), "{dry:?}");
    assert_eq!(data_files(dir.path()).len() as u64, RUNS + 1, "only looked");
    let done = client.maintain(false).await.expect("works");
    assert!(done.iter().all(|step| step.failed.is_empty()), "{done:?}");
    let of = |job: &str| done.iter().filter(|step| step.job == job).cloned().collect::<Vec<_>>();
    assert_eq!((of("compaction")[0].files_removed, of("compaction")[0].files_added), (RUNS, 1), "{done:?}");
    assert_eq!(of("expiry")[0].snapshots_removed, RUNS, "all but the newest: {done:?}");
    assert_eq!(of("orphans")[0].files_removed, 1, "{done:?}");
    assert_eq!(data_files(dir.path()).len(), 1);
    assert_eq!(texts(&client, ROWS).await, rows);
    server.terminate();
    assert!(server.ended().success());
    assert_eq!(without_files(read_lake(dir.path())), (before, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_rows_go_from_both_tiers() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[]);
    let ours = server.client().await;
    let theirs = server.client().await.with_tenant("acme").expect("a name");
    let exporter = Exporter::connect(&server.grpc).await.with_tenant("acme");
    send(&server, 0).await;
    exporter.traces(spans(1_000, RUN)).await.expect("acknowledged");
    archived(&theirs).await;
    exporter.traces(spans(2_000, RUN)).await.expect("acknowledged");
    let rows = texts(&ours, ROWS).await;
    assert_eq!(number(&theirs, COUNT).await, 2 * OF_RUN);
    let none = theirs.delete_rows(Some("nobody")).await.expect("looks");
    assert!(none.iter().all(|step| step.rows_removed == 0 && step.failed.is_empty()), "{none:?}");
    let done = theirs.delete_rows(None).await.expect("deletes");
    assert_eq!(done.iter().map(|step| step.rows_removed).sum::<u64>(), 2 * RUN, "{done:?}");
    assert_eq!(number(&theirs, COUNT).await, 0);
    assert_eq!(texts(&ours, ROWS).await, rows);
    exporter.traces(spans(3_000, RUN)).await.expect("acknowledged");
    archived(&theirs).await;
    assert_eq!(number(&theirs, COUNT).await, OF_RUN, "what comes later is kept");
    server.terminate();
    assert!(server.ended().success());
    assert_eq!(read_lake(dir.path())["iceberg"]["rows"], Value::from(2 * RUN));
}
