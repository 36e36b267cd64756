//! Small ranges of many shards make few files, against the real catalog and real files.

#[path = "support/lake.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::Path;

use uuid::Uuid;
use watershed_lake::{CommitRequest, FileFilter, Lake, Rows, Staged, StagedRange};
use watershed_schema::{Epoch, Seq, ShardId, TenantId};

use support::{lake, rows, rows_in, rows_of};

const EPOCH: Epoch = Epoch(1);
const SHARDS: u16 = 16;

/// Writes these rows, and commits them together.
async fn commit(lake: &Lake, runs: &[Rows]) {
    let ranges = staged(lake, runs).await;
    committed(lake, ranges).await;
}

async fn staged(lake: &Lake, runs: &[Rows]) -> Vec<StagedRange> {
    let mut ranges = Vec::new();
    for rows in runs {
        let files = lake.write(rows, EPOCH).await.expect("writes");
        ranges.push(StagedRange { shard: rows.shard, from_seq: rows.from_seq, to_seq: rows.to_seq, files });
    }
    ranges
}

async fn committed(lake: &Lake, ranges: Vec<StagedRange>) {
    let request = CommitRequest { ranges, replayed: Staged::default(), epoch: EPOCH, commit_id: Uuid::now_v7() };
    lake.commit(&request).await.expect("commits");
}

/// Paths of a table's data files, and their rows.
async fn files(lake: &Lake, table: &str) -> Vec<(String, u64)> {
    let pinned = lake.table(table).await.expect("is there").pin().await.expect("pins");
    let files = pinned.files(&FileFilter::default()).await.expect("lists");
    files.into_iter().map(|file| (file.path, file.rows)).collect()
}

fn on_disk(dir: &Path) -> BTreeSet<String> {
    let mut folders = vec![dir.join("warehouse")];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|ending| ending == "parquet") => {
                    found.insert(format!("file://{}", path.display()));
                }
                false => {}
            }
        }
    }
    found
}

fn of_shards(kind: &str) -> Vec<Rows> {
    (0..SHARDS).map(|shard| rows(ShardId(shard), (1, 5), kind)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn small_ranges_of_many_shards_are_one_file_of_each_partition() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(dir.path()).await;
    commit(&lake, &[of_shards("log"), vec![Rows { from_seq: Seq(1), ..rows(ShardId(99), (1, 4), "trace") }]].concat()).await;
    let files = files(&lake, "").await;
    let mut counts: Vec<_> = files.iter().map(|(_, rows)| *rows).collect();
    counts.sort_unstable();
    assert_eq!(counts, [3, u64::from(SHARDS) * 4], "a file that is alone in its partition stays as it is");
    assert_eq!(on_disk(dir.path()), files.into_iter().map(|(path, _)| path).collect(), "those before are gone");
    assert_eq!(lake.watermark().await.expect("reads").len(), usize::from(SHARDS) + 1);

    for shard in [0, 7, SHARDS - 1] {
        let wanted = watershed_lake::ShardRows {
            tenant: TenantId::default(),
            shard: ShardId(shard),
            from: Seq(1),
            to: Seq(5),
            from_us: None,
        };
        let found = lake.pin().await.expect("pins").files_of_shard(&wanted).await.expect("lists");
        assert!(!found.is_empty(), "who reads a shard finds it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_own_table_is_joined_for_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let acme = TenantId::new("acme").expect("a name");
    let lake = lake(dir.path()).await.with_own_tables([acme]).await.expect("opens");
    let both = |shard| {
        let (mut ours, theirs) = (rows(ShardId(shard), (1, 4), "log"), rows_of("acme", ShardId(shard), (4, 9), "log"));
        ours.blocks.extend(theirs.blocks);
        Rows { to_seq: Seq(9), ..ours }
    };
    commit(&lake, &(0..SHARDS).map(both).collect::<Vec<_>>()).await;
    let counts = |files: Vec<(String, u64)>| files.into_iter().map(|(_, rows)| rows).collect::<Vec<_>>();
    assert_eq!(counts(files(&lake, "events").await), [u64::from(SHARDS) * 3]);
    assert_eq!(counts(files(&lake, "events_acme").await), [u64::from(SHARDS) * 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_joined_is_committed_as_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(dir.path()).await;
    let ranges = staged(&lake, &of_shards("log")).await;
    let damaged = on_disk(dir.path()).into_iter().next().expect("a file");
    let damaged = damaged.trim_start_matches("file://");
    let bytes = std::fs::read(damaged).expect("reads");
    std::fs::write(damaged, vec![0; bytes.len()]).expect("writes");
    committed(&lake, ranges).await;
    assert_eq!(files(&lake, "").await.len(), usize::from(SHARDS), "archiving goes on");
    assert_eq!(on_disk(dir.path()).len(), usize::from(SHARDS), "nothing is removed, and nothing is left behind");
    assert_eq!(rows_in(&lake).await, u64::from(SHARDS) * 4);
}
