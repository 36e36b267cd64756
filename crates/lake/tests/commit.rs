//! Exactly once against the real SQLite catalog and real files.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array};
use iceberg::Catalog;
use uuid::Uuid;
use watershed_catalog::SqliteCatalog;
use watershed_lake::{CommitRequest, FileFilter, FileName, Lake, LakeError, StagedRange, storage};
use watershed_schema::{Column, Epoch, Seq, ShardId, arrow::schema_of};

async fn lake(dir: &tempfile::TempDir) -> Lake {
    let warehouse = format!("file://{}/warehouse", dir.path().display());
    let path = dir.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, "watershed", &warehouse, storage::local()).await.expect("works");
    let catalog: Arc<dyn Catalog> = Arc::new(catalog);
    Lake::open(catalog).await.expect("works")
}

fn rows(count: usize) -> RecordBatch {
    let schema = schema_of(Column::ALL);
    let text = |value: &str| Arc::new(StringArray::from(vec![value; count])) as ArrayRef;
    let column = |column: &Column| match column {
        Column::Timestamp => {
            Arc::new(TimestampMicrosecondArray::from(vec![7_200_000_001; count]).with_timezone("+00:00")) as ArrayRef
        }
        Column::EventType => text("../log"),
        other if other.required() => text("x"),
        other => new_null_array(&watershed_schema::arrow::data_type(other.kind()), count),
    };
    RecordBatch::try_new(schema, Column::ALL.iter().map(column).collect()).expect("works")
}

async fn request(lake: &Lake, from: u64, count: u64, epoch: u64) -> CommitRequest {
    let (shard, from_seq, to_seq, epoch) = (ShardId(0), Seq(from), Seq(from + count), Epoch(epoch));
    let name = FileName { shard, from_seq, to_seq, epoch };
    let files = lake.write(vec![rows(usize::try_from(count).expect("works"))], name).await.expect("works");
    CommitRequest { ranges: vec![StagedRange { shard, from_seq, to_seq, files }], epoch, commit_id: Uuid::now_v7() }
}

async fn rows_in(lake: &Lake) -> u64 {
    let files = lake.pin().await.expect("works").files(&FileFilter::default()).await.expect("works");
    files.iter().map(|file| file.rows).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn same_commit_id_adds_nothing() {
    let dir = tempfile::tempdir().expect("works");
    let lake = lake(&dir).await;
    let request = request(&lake, 1, 5, 1).await;
    let first = lake.commit(&request).await.expect("works");
    assert_eq!(lake.commit(&request).await.expect("works"), first);
    assert_eq!(rows_in(&lake).await, 5);
    assert_eq!(lake.watermark().await.expect("works")[&ShardId(0)], Seq(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_committers_add_a_range_once() {
    let dir = tempfile::tempdir().expect("works");
    let lake = lake(&dir).await;
    let (a, b) = (request(&lake, 1, 5, 1).await, request(&lake, 1, 5, 2).await);
    let (a, b) = tokio::join!(lake.commit(&a), lake.commit(&b));
    assert_eq!([&a, &b].iter().filter(|done| done.is_ok()).count(), 1, "{a:?} {b:?}");
    assert_eq!(rows_in(&lake).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_and_old_epochs_are_refused() {
    let dir = tempfile::tempdir().expect("works");
    let lake = lake(&dir).await;
    lake.commit(&request(&lake, 1, 5, 2).await).await.expect("works");
    let gap = lake.commit(&request(&lake, 7, 1, 2).await).await;
    assert!(matches!(gap, Err(LakeError::NotContiguous { .. })), "{gap:?}");
    let old = lake.commit(&request(&lake, 6, 1, 1).await).await;
    assert!(matches!(old, Err(LakeError::Fenced { .. })), "{old:?}");
    assert_eq!(rows_in(&lake).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_prune_by_hour_and_paths_stay_inside() {
    let dir = tempfile::tempdir().expect("works");
    let lake = lake(&dir).await;
    lake.commit(&request(&lake, 1, 5, 1).await).await.expect("works");
    let pinned = lake.pin().await.expect("works");
    let late = FileFilter { from_us: Some(10_800_000_000), ..FileFilter::default() };
    assert_eq!(pinned.files(&late).await.expect("works"), []);
    let all = pinned.files(&FileFilter::default()).await.expect("works");
    assert!(all[0].path.ends_with("/data/hour=2/event_type=%2E%2E%2Flog/0-1-6-1.parquet"), "{}", all[0].path);
    assert_eq!(all[0].hour, Some(2));
}
