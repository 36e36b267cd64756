//! Upkeep of the lake beside archiving, over real Raft, real SQLite and a real Iceberg table.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use watershed_actors::{Membership, Node, Settings, Upkeep};
use watershed_catalog::SqliteCatalog;
use watershed_lake::{FileFilter, Lake, SnapshotRetention, storage, updates_by};
use watershed_schema::{BatchBuilder, Column, EventBatch, TenantId};

const ROWS: u64 = 10;
const DEADLINE: Duration = Duration::from_secs(60);

async fn catalog(dir: &Path) -> Arc<SqliteCatalog> {
    let warehouse = format!("file://{}/warehouse", dir.display());
    Arc::new(SqliteCatalog::open(&dir.join("catalog.db"), "watershed", &warehouse, storage::local()).await.expect("opens"))
}

async fn start(dir: &Path, lake: Lake, upkeep: Upkeep) -> Node {
    let settings = Settings {
        data_dir: dir.join("shards"),
        shards: 1,
        high_volume: Vec::new(),
        ingest_actors: 1,
        hot_retention: Duration::from_secs(300),
        flush_interval: Duration::from_millis(10),
        archive_rows: 1_000,
        archive_bytes: 1 << 20,
        archive_attempts: 5,
        upkeep,
    };
    Node::start(settings, Membership::alone("test", 1, 1 << 20), Some(Arc::new(lake))).await.expect("starts")
}

fn batch(run: u64) -> EventBatch {
    let mut builder = BatchBuilder::new(TenantId::default(), 1024);
    for id in run * ROWS..(run + 1) * ROWS {
        builder.row(None, |row| {
            row.str(Column::Id, &format!("id-{id}"));
            row.str(Column::Ns, "default");
            row.str(Column::EventType, "log");
            row.str(Column::EventName, "n");
            row.int(Column::Timestamp, 1_700_000_000_000_000);
        });
    }
    builder.finish().expect("rows")
}

/// Appends a run and waits until a snapshot holds it; how long that took.
async fn archived(node: &Node, run: u64) -> Duration {
    let since = Instant::now();
    let batch = batch(run);
    let permit = node.budget().admit(batch.body().len()).expect("fits");
    node.append(batch, permit).await.expect("commits");
    let mut positions = node.shards()[0].watch();
    let all = positions.wait_for(|now| now.archived() == now.tail());
    drop(timeout(DEADLINE, all).await.expect("it is archived").expect("the shard goes on"));
    since.elapsed()
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !done().await {
        assert!(Instant::now() < end, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn files_and_rows(lake: &Lake) -> (usize, u64) {
    let files = lake.pin().await.expect("pins").files(&FileFilter::default()).await.expect("lists");
    (files.len(), files.iter().map(|file| file.rows).sum())
}

/// A lake that can be kept up.
async fn lake(dir: &Path) -> Lake {
    let catalog = catalog(dir).await;
    let way_in = Arc::clone(&catalog);
    let updates = updates_by(move |table, requirements, updates| {
        let catalog = Arc::clone(&way_in);
        async move { catalog.commit_updates(&table, requirements, updates).await.map(drop) }
    });
    Lake::open(catalog).await.expect("opens").with_updates(updates)
}

fn compaction() -> Upkeep {
    Upkeep { compaction_interval: Some(Duration::from_secs(1)), ..Upkeep::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_never_answers_upkeep_does_not_stop_archiving() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake =
        Lake::open(catalog(dir.path()).await).await.expect("opens").with_updates(updates_by(|_, _, _| std::future::pending()));
    let upkeep = Upkeep { deadline: Duration::from_secs(3), ..compaction() };
    let node = start(dir.path(), lake.clone(), upkeep).await;
    let mut longest = Duration::ZERO;
    for run in 0..8 {
        longest = longest.max(archived(&node, run).await);
    }
    assert!(longest > Duration::from_secs(2), "a commit has waited for a round: {longest:?}");
    assert_eq!(files_and_rows(&lake).await, (8, 8 * ROWS));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_and_archiving_take_turns() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(dir.path()).await;
    let node = start(dir.path(), lake.clone(), compaction()).await;
    for run in 0..6 {
        archived(&node, run).await;
    }
    until("few files", async || files_and_rows(&lake).await.0 < 4).await;
    assert_eq!(files_and_rows(&lake).await.1, 6 * ROWS);
    let steps = node.maintain(false).await.expect("is the committer");
    assert!(steps.iter().all(|step| step.failed.is_empty()), "{steps:?}");
    assert_eq!(files_and_rows(&lake).await, (1, 6 * ROWS));
    let gone = node.delete(&TenantId::default(), None).await.expect("is the committer");
    assert_eq!(gone.iter().map(|step| step.rows_removed).sum::<u64>(), 6 * ROWS);
    assert_eq!(files_and_rows(&lake).await, (0, 0));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_goes_by_itself_and_snapshots_after_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(dir.path()).await;
    let second = Some(Duration::from_secs(1));
    let upkeep = Upkeep {
        retention: Some(Duration::from_secs(3_600)),
        retention_interval: second,
        snapshots: SnapshotRetention { age: Duration::ZERO, count: 1 },
        expiry_interval: second,
        ..Upkeep::default()
    };
    let node = start(dir.path(), lake.clone(), upkeep).await;
    for run in 0..2 {
        archived(&node, run).await;
    }
    until("rows of 2023 go", async || files_and_rows(&lake).await == (0, 0)).await;
    let snapshots = async || lake.pin().await.expect("pins").table.metadata().snapshots().len();
    until("old snapshots go", async || snapshots().await == 1).await;
    node.stop().await;
}
