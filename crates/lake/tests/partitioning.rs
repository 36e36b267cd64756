//! A table changes from hours to days and months and back: old files stay, new ones are cut anew, what was staged before the
//! change is committed after it, and PyIceberg sees every row once.

#[path = "support/servers.rs"]
mod servers;
#[path = "support/lake.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::{Result, TableIdent, TableRequirement, TableUpdate};
use serde_json::{Value, json};
use watershed_catalog::SqliteCatalog;
use watershed_lake::{CompactionLimits, FileFilter, Lake, LakeError, Partitioning, Updates, storage};
use watershed_schema::{Epoch, ShardId};

use servers::pyiceberg;
use support::{request, rows, rows_in};

#[derive(Debug)]
struct Port(Arc<SqliteCatalog>);

#[async_trait]
impl Updates for Port {
    async fn update(&self, table: &TableIdent, requirements: Vec<TableRequirement>, updates: Vec<TableUpdate>) -> Result<()> {
        self.0.commit_updates(table, requirements, updates).await.map(drop)
    }
}

async fn lake(dir: &Path) -> Lake {
    let warehouse = format!("file://{}/warehouse", dir.display());
    let path = dir.join("catalog.db");
    let catalog = Arc::new(SqliteCatalog::open(&path, "watershed", &warehouse, storage::local()).await.expect("opens"));
    Lake::open(Arc::clone(&catalog) as _).await.expect("opens").with_updates(Arc::new(Port(catalog)))
}

async fn append(lake: &Lake, (from, to): (u64, u64)) {
    lake.commit(&request(lake, &rows(ShardId(0), (from, to), "log"), Epoch(1)).await).await.expect("commits");
}

async fn partitions(lake: &Lake) -> Vec<String> {
    let files = lake.pin().await.expect("pins").contents("").await.expect("lists");
    files.into_iter().map(|file| file.partition).collect()
}

/// How many files may hold what is wanted.
async fn left_by(lake: &Lake, filter: &FileFilter) -> usize {
    lake.pin().await.expect("pins").files(filter).await.expect("lists").len()
}

/// What PyIceberg sees.
fn seen(dir: &Path) -> Value {
    let (uri, warehouse) = (format!("sqlite:///{}/catalog.db", dir.display()), format!("file://{}/warehouse", dir.display()));
    pyiceberg(json!({"type": "sql", "uri": uri, "warehouse": warehouse}), None)
}

#[tokio::test(flavor = "multi_thread")]
async fn old_files_stay_readable_and_prunable() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(dir.path()).await;
    append(&lake, (1, 4)).await;
    lake.partition_by(Partitioning::Day).await.expect("changes");
    append(&lake, (4, 8)).await;
    lake.partition_by(Partitioning::Month).await.expect("changes");
    append(&lake, (8, 13)).await;
    let all = ["day=1970-01-01/event_type=log", "hour=1970-01-01-02/event_type=log", "month=1970-01/event_type=log"];
    assert_eq!(partitions(&lake).await, all);
    assert_eq!(rows_in(&lake).await, 12);
    let other_kind = FileFilter { event_types: vec!["trace".to_owned()], ..FileFilter::default() };
    assert_eq!(left_by(&lake, &other_kind).await, 0);
    let later = FileFilter { from_us: Some(7_200_000_002), ..FileFilter::default() };
    assert_eq!(left_by(&lake, &later).await, 0);
    let then = FileFilter { from_us: Some(7_200_000_001), event_types: vec!["log".to_owned()], ..FileFilter::default() };
    assert_eq!(left_by(&lake, &then).await, 3);
    let seen = seen(dir.path());
    assert_eq!((&seen["rows"], &seen["places"]), (&12.into(), &12.into()), "{seen}");
    assert_eq!(seen["partitions"], json!(["month(timestamp)", "identity(event_type)"]));
    // Back to a spec that was there: under its number.
    let specs = lake.pin().await.expect("pins").table.metadata().partition_specs_iter().len();
    lake.partition_by(Partitioning::Hour).await.expect("changes");
    lake.partition_by(Partitioning::Hour).await.expect("stays");
    let table = lake.pin().await.expect("pins").table;
    assert_eq!((table.metadata().partition_specs_iter().len(), table.metadata().default_partition_spec_id()), (specs, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_staged_before_the_change_is_committed_after_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(dir.path()).await;
    let by_hour = request(&lake, &rows(ShardId(0), (1, 6), "log"), Epoch(1)).await;
    lake.partition_by(Partitioning::Day).await.expect("changes");
    lake.commit(&by_hour).await.expect("commits");
    assert_eq!(partitions(&lake).await, ["day=1970-01-01/event_type=log"]);

    // To a finer one: which hour a file of a day is of cannot be known.
    let by_day = request(&lake, &rows(ShardId(1), (1, 4), "log"), Epoch(1)).await;
    lake.partition_by(Partitioning::Hour).await.expect("changes");
    let mut both = request(&lake, &rows(ShardId(0), (6, 9), "log"), Epoch(1)).await;
    both.ranges.extend(by_day.ranges);
    lake.commit(&both).await.expect("commits");
    assert_eq!(partitions(&lake).await, ["day=1970-01-01/event_type=log"; 2], "the two are joined");
    let table = lake.pin().await.expect("pins").table;
    assert_eq!(table.metadata().default_partition_spec_id(), 0, "the table's own partitioning stays");
    append(&lake, (9, 11)).await;
    assert!(partitions(&lake).await.contains(&"hour=1970-01-01-02/event_type=log".to_owned()));
    let seen = seen(dir.path());
    assert_eq!((&seen["rows"], &seen["places"]), (&13.into(), &13.into()), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_joins_files_of_one_spec_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(dir.path()).await;
    for from in [1, 4, 7] {
        append(&lake, (from, from + 3)).await;
    }
    lake.partition_by(Partitioning::Day).await.expect("changes");
    append(&lake, (10, 13)).await;
    append(&lake, (13, 16)).await;
    let round = lake.compact(&CompactionLimits::default(), Epoch(1)).await.expect("compacts").expect("something");
    assert_eq!((round.files_before, round.files_after, round.rows), (2, 1, 6));
    let mut left = partitions(&lake).await;
    left.sort();
    let hour = "hour=1970-01-01-02/event_type=log";
    assert_eq!(left, ["day=1970-01-01/event_type=log", hour, hour, hour]);
    let seen = seen(dir.path());
    assert_eq!((&seen["rows"], &seen["places"]), (&15.into(), &15.into()), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_table_is_cut_as_told_and_a_change_needs_a_way_into_the_catalog() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::open_by(support::catalog(dir.path()).await, Partitioning::Day).await.expect("opens");
    append(&lake, (1, 3)).await;
    assert_eq!(partitions(&lake).await, ["day=1970-01-01/event_type=log"]);
    lake.partition_by(Partitioning::Day).await.expect("is so already");
    let refused = lake.partition_by(Partitioning::Hour).await.expect_err("no way");
    assert!(matches!(refused, LakeError::NotPartitionable { from: "day", to: "hour" }), "{refused}");
}
