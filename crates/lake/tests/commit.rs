//! Exactly once against the real SQLite catalog and real files.

use std::sync::Arc;

use iceberg::Catalog;
use uuid::Uuid;
use watershed_catalog::SqliteCatalog;
use watershed_lake::{CommitRequest, FileFilter, Lake, LakeError, Rows, StagedRange, storage};
use watershed_schema::{BatchBuilder, Column, Epoch, Seq, ShardId, TenantId};

async fn lake(dir: &tempfile::TempDir) -> Lake {
    let warehouse = format!("file://{}/warehouse", dir.path().display());
    let path = dir.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, "watershed", &warehouse, storage::local()).await.expect("works");
    let catalog: Arc<dyn Catalog> = Arc::new(catalog);
    Lake::open(catalog).await.expect("works")
}

fn rows(from_seq: Seq, count: u64) -> Rows {
    let mut batch = BatchBuilder::new(TenantId::default(), 0);
    for row in 0..count {
        batch.row(None, |event| {
            event.str(Column::Id, &row.to_string());
            event.str(Column::EventType, "../log");
            event.str(Column::EventName, "x");
            event.str(Column::Ns, "default");
            event.int(Column::Timestamp, 7_200_000_001);
        });
    }
    let blocks = vec![(from_seq, Arc::new(batch.finish().expect("rows")))];
    Rows { shard: ShardId(0), from_seq, to_seq: Seq(from_seq.0 + count), blocks }
}

async fn request(lake: &Lake, from: u64, count: u64, epoch: u64) -> CommitRequest {
    let rows = rows(Seq(from), count);
    let files = lake.write(&rows, Epoch(epoch)).await.expect("works");
    let range = StagedRange { shard: rows.shard, from_seq: rows.from_seq, to_seq: rows.to_seq, files };
    CommitRequest { ranges: vec![range], replayed: Vec::new(), epoch: Epoch(epoch), commit_id: Uuid::now_v7() }
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
