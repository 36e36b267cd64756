//! Exactly once against the real SQLite catalog and real files.

#[path = "support/lake.rs"]
mod support;

use watershed_lake::{CommitRequest, FileFilter, Lake, LakeError};
use watershed_schema::{Epoch, Seq, ShardId};

use support::{lake, rows, rows_in};

async fn request(lake: &Lake, from: u64, count: u64, epoch: u64) -> CommitRequest {
    support::request(lake, &rows(ShardId(0), (from, from + count), "../log"), Epoch(epoch)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn same_commit_id_adds_nothing() {
    let dir = tempfile::tempdir().expect("works");
    let lake = lake(dir.path()).await;
    let request = request(&lake, 1, 5, 1).await;
    let first = lake.commit(&request).await.expect("works");
    assert_eq!(lake.commit(&request).await.expect("works"), first);
    assert_eq!(rows_in(&lake).await, 5);
    assert_eq!(lake.watermark().await.expect("works")[&ShardId(0)], Seq(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_committers_add_a_range_once() {
    let dir = tempfile::tempdir().expect("works");
    let lake = lake(dir.path()).await;
    let (a, b) = (request(&lake, 1, 5, 1).await, request(&lake, 1, 5, 2).await);
    let (a, b) = tokio::join!(lake.commit(&a), lake.commit(&b));
    assert_eq!([&a, &b].iter().filter(|done| done.is_ok()).count(), 1, "{a:?} {b:?}");
    assert_eq!(rows_in(&lake).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_and_old_epochs_are_refused() {
    let dir = tempfile::tempdir().expect("works");
    let lake = lake(dir.path()).await;
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
    let lake = lake(dir.path()).await;
    lake.commit(&request(&lake, 1, 5, 1).await).await.expect("works");
    let pinned = lake.pin().await.expect("works");
    let late = FileFilter { from_us: Some(10_800_000_000), ..FileFilter::default() };
    assert_eq!(pinned.files(&late).await.expect("works"), []);
    let all = pinned.files(&FileFilter::default()).await.expect("works");
    assert!(all[0].path.ends_with("/data/hour=1970-01-01-02/event_type=%2E%2E%2Flog/0-1-6-1.parquet"), "{}", all[0].path);
    let told = pinned.contents("hour=1970-01-01").await.expect("works");
    assert_eq!(told[0].partition, "hour=1970-01-01-02/event_type=%2E%2E%2Flog");
}
