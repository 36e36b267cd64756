//! Dead letters: kept whole, replayed once, against the real catalog and real files.

#[path = "support/lake.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;
use watershed_lake::{CommitRequest, FileFilter, GivenUp, Lake, LakeError, Rows, Staged, StagedRange, Struck};
use watershed_schema::{BatchBuilder, Column, Epoch, Seq, ShardId, TenantId};

use support::{lake, rows_in};

const SHARD: ShardId = ShardId(2);
const WHY: GivenUp<'_> = GivenUp { reason: "no", attempts: 3, since_us: 77 };

fn rows(from: u64, to: u64) -> Rows {
    support::rows(SHARD, (from, to), "log")
}

/// A block whose payload claims more bytes than there are: fine for the log, no column.
fn poison(seq: u64) -> Rows {
    let mut batch = BatchBuilder::new(TenantId::default(), 0);
    batch.row(None, |event| {
        event.str(Column::Id, "poison");
        event.str(Column::EventType, "log");
        event.str(Column::EventName, "x");
        event.int(Column::Timestamp, 1);
        event.otlp(Column::Attributes, |list| list.raw(&[0x0a, 0x7f]));
    });
    let blocks = vec![(Seq(seq), Arc::new(batch.finish().expect("rows")))];
    Rows { shard: SHARD, from_seq: Seq(seq), to_seq: Seq(seq + 1), blocks }
}

/// Moves the watermark over a run of which no row is in the lake.
async fn pass_over(lake: &Lake, from: u64, to: u64) {
    let range = StagedRange { shard: SHARD, from_seq: Seq(from), to_seq: Seq(to), files: Staged::default() };
    let request = CommitRequest { ranges: vec![range], replayed: Staged::default(), epoch: Epoch(1), commit_id: Uuid::now_v7() };
    lake.commit(&request).await.expect("works");
}

/// Where the lake keeps its letters.
fn files(dir: &Path) -> Vec<PathBuf> {
    let folder = dir.join("warehouse/watershed/events/_dead_letters");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_kept_whole_and_a_damaged_one_is_told() {
    let dir = tempfile::tempdir().expect("works");
    let lake = lake(dir.path()).await;
    let letter = lake.put_letter(&rows(5, 9), WHY).await.expect("works");
    assert_eq!((letter.name.as_str(), letter.rows, letter.attempts, letter.since_us), ("2-5-9", 4, 3, 77));
    assert_eq!((letter.reason.as_str(), &letter.tenants[..]), ("no", &["default".to_owned()][..]));
    let back = lake.letter(&letter).await.expect("works");
    assert_eq!((back.shard, back.from_seq, back.to_seq), (SHARD, Seq(5), Seq(9)));
    assert_eq!(back.blocks[0].1.body(), rows(5, 9).blocks[0].1.body());
    let again = lake.put_letter(&rows(5, 9), WHY).await.expect("works");
    assert_ne!(again.file, letter.file, "another attempt of the same run takes nothing from the first");

    let path = files(dir.path()).into_iter().find(|path| path.ends_with(&letter.file)).expect("is there");
    let mut bytes = std::fs::read(&path).expect("works");
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(&path, bytes).expect("works");
    let told = lake.letter(&letter).await.expect_err("damaged").to_string();
    assert!(told.contains("2-5-9") && told.contains("checksum"), "{told}");
    lake.remove_letter(&letter).await.expect("works");
    lake.remove_letter(&letter).await.expect("is gone already");
    assert_eq!(files(dir.path()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_holds_its_run_alone() {
    let dir = tempfile::tempdir().expect("works");
    let run = Rows { from_seq: Seq(6), to_seq: Seq(8), ..rows(5, 9) };
    let lake = lake(dir.path()).await;
    let letter = lake.put_letter(&run, WHY).await.expect("works");
    let back = lake.letter(&letter).await.expect("works");
    let places: Vec<_> = back.blocks.iter().map(|(first, batch)| (first.0, batch.len())).collect();
    assert_eq!((letter.rows, places), (2, vec![(6, 2)]));
    let all = (Seq(1), Seq(100));
    assert_eq!(back.runs_of(&TenantId::default(), all), [(Seq(6), Seq(8))]);
    assert_eq!(back.runs_of(&TenantId::default(), (Seq(7), Seq(100))), [(Seq(7), Seq(8))]);
    assert_eq!(back.runs_of(&TenantId::new("acme").expect("a name"), all), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_reason_is_cut_between_characters() {
    let dir = tempfile::tempdir().expect("works");
    let reason = "ä".repeat(2_000);
    let letter = lake(dir.path()).await.put_letter(&rows(5, 9), GivenUp { reason: &reason, ..WHY }).await.expect("works");
    assert_eq!(letter.reason, "ä".repeat(512));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_must_go_leave_the_others_at_their_places() {
    let dir = tempfile::tempdir().expect("works");
    let lake = lake(dir.path()).await;
    let letter = lake.put_letter(&rows(5, 9), WHY).await.expect("works");
    let is = |id: &'static str| {
        move |row: &watershed_schema::Row<'_>| row.get(Column::Id).ok().flatten().and_then(|id| id.as_str()) == Some(id)
    };
    let nobody = lake.strike(&letter, is("nobody")).await.expect("works");
    assert_eq!(nobody, Struck { rows: 0, left: Some(letter.clone()) });
    let struck = lake.strike(&letter, is("id-6")).await.expect("works");
    let left = struck.left.expect("rows are left");
    assert_eq!((struck.rows, left.name.as_str(), left.rows, left.reason.as_str(), left.since_us), (1, "2-5-9", 3, "no", 77));
    assert_eq!(lake.letter(&letter).await.expect("stays").len(), 4, "the log still names it");
    let back = lake.letter(&left).await.expect("works");
    let places: Vec<_> = back.blocks.iter().map(|(first, batch)| (first.0, batch.len())).collect();
    assert_eq!(places, [(5, 1), (7, 2)]);
    assert_eq!(lake.strike(&left, |_| true).await.expect("works"), Struck { rows: 3, left: None });
}

#[test]
fn one_bad_block_does_not_take_the_others_with_it() {
    let mut run = rows(1, 5);
    run.blocks.extend(poison(5).blocks);
    run.to_seq = Seq(6);
    let (good, bad) = run.sift();
    assert_eq!((good.len(), bad.len()), (4, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_rows_are_the_rows_fault() {
    let dir = tempfile::tempdir().expect("works");
    let refused = lake(dir.path()).await.write(&poison(1), Epoch(1)).await.expect_err("no columns");
    assert!(refused.is_permanent(), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_adds_its_rows_once_and_only_below_the_watermark() {
    let dir = tempfile::tempdir().expect("works");
    let lake = lake(dir.path()).await;
    let early = lake.replay(&rows(1, 5), Epoch(1)).await;
    assert!(matches!(early, Err(LakeError::NotArchived { .. })), "{early:?}");
    pass_over(&lake, 1, 9).await;
    let letter = lake.put_letter(&rows(1, 5), WHY).await.expect("works");
    assert!(!lake.has_replayed(&letter).await.expect("works"));
    let first = lake.replay(&rows(1, 5), Epoch(1)).await.expect("works");
    assert!(lake.has_replayed(&letter).await.expect("works"));
    assert_eq!(lake.replay(&rows(1, 5), Epoch(1)).await.expect("works"), first);
    assert_eq!(rows_in(&lake).await, 4);
    lake.replay(&rows(5, 9), Epoch(1)).await.expect("works");
    assert_eq!(rows_in(&lake).await, 8);
    assert_eq!(lake.watermark().await.expect("works")[&SHARD], Seq(9), "the watermark stays");
}

/// The rest of a run was written under the same epoch, into the same partition.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_writes_over_no_file_of_its_run() {
    let dir = tempfile::tempdir().expect("works");
    let lake = lake(dir.path()).await;
    let run = |rows: Rows| Rows { from_seq: Seq(1), to_seq: Seq(9), ..rows };
    let (good, bad) = (run(rows(1, 5)), run(rows(5, 9)));
    let request = support::request(&lake, &good, Epoch(1)).await;
    lake.commit(&request).await.expect("commits");
    lake.replay(&bad, Epoch(1)).await.expect("works");
    let pinned = lake.pin().await.expect("pins");
    let files = pinned.files(&FileFilter::default()).await.expect("lists");
    let paths: BTreeSet<_> = files.iter().map(|file| &file.path).collect();
    assert_eq!((rows_in(&lake).await, paths.len()), (8, 2));
}
