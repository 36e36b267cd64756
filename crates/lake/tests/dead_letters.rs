//! Dead letters: kept whole, replayed once, against the real catalog and real files.

#[path = "support/lake.rs"]
mod support;

use std::sync::Arc;

use uuid::Uuid;
use watershed_lake::{CommitRequest, DeadLetters, Lake, LakeError, Rows, Staged, StagedRange};
use watershed_schema::{BatchBuilder, Column, Epoch, Seq, ShardId, TenantId};

use support::{lake, rows_in};

const SHARD: ShardId = ShardId(2);

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

#[test]
fn a_letter_is_kept_whole_and_a_damaged_one_is_told() {
    let dir = tempfile::tempdir().expect("works");
    let letters = DeadLetters::open(&dir.path().join("letters")).expect("works");
    let about = letters.put(&rows(5, 9), "no", 3, 77).expect("works");
    assert_eq!((about.name.as_str(), about.rows, about.attempts, about.since_us), ("2-5-9", 4, 3, 77));
    assert_eq!(letters.list(SHARD, Seq(9)).expect("works"), [about]);
    assert_eq!(letters.list(ShardId(1), Seq(9)).expect("works"), []);
    let back = letters.rows("2-5-9").expect("works");
    assert_eq!(back.blocks[0].1.body(), rows(5, 9).blocks[0].1.body());
    let path = dir.path().join("letters/2-5-9.dead");
    let mut bytes = std::fs::read(&path).expect("works");
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(&path, bytes).expect("works");
    assert!(letters.list(SHARD, Seq(9)).expect_err("damaged").to_string().contains("damaged"));
    letters.remove("2-5-9").expect("works");
    assert_eq!(letters.count(SHARD, Seq(9)).expect("works"), 0);
}

#[test]
fn rows_that_must_go_leave_the_others_at_their_places() {
    let dir = tempfile::tempdir().expect("works");
    let letters = DeadLetters::open(dir.path()).expect("works");
    let letter = letters.put(&rows(5, 9), "no", 3, 77).expect("works");
    let is = |id: &'static str| {
        move |row: &watershed_schema::Row<'_>| row.get(Column::Id).ok().flatten().and_then(|id| id.as_str()) == Some(id)
    };
    assert_eq!(letters.forget(&letter, is("nobody")).expect("works"), 0);
    assert_eq!(letters.forget(&letter, is("id-6")).expect("works"), 1);
    let told = &letters.list(SHARD, Seq(9)).expect("works")[0];
    assert_eq!((told.name.as_str(), told.rows, told.reason.as_str(), told.since_us), ("2-5-9", 3, "no", 77));
    let left = letters.rows("2-5-9").expect("works");
    let places: Vec<_> = left.blocks.iter().map(|(first, batch)| (first.0, batch.len())).collect();
    assert_eq!(places, [(5, 1), (7, 2)]);
    assert_eq!(letters.forget(told, |_| true).expect("works"), 3);
    assert_eq!(letters.list(SHARD, Seq(9)).expect("works"), []);
}

#[test]
fn a_letter_counts_once_its_run_is_staged() {
    let dir = tempfile::tempdir().expect("works");
    let letters = DeadLetters::open(dir.path()).expect("works");
    letters.put(&rows(1, 5), "no", 1, 0).expect("works");
    letters.put(&rows(5, 9), "no", 1, 0).expect("works");
    assert_eq!(letters.count(SHARD, Seq(5)).expect("works"), 1);
    letters.forget_unstaged(SHARD, Seq(5)).expect("works");
    assert_eq!(letters.count(SHARD, Seq(100)).expect("works"), 1, "the one that a crash left behind is gone");
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
    let first = lake.replay(&rows(1, 5), Epoch(1)).await.expect("works");
    assert_eq!(lake.replay(&rows(1, 5), Epoch(1)).await.expect("works"), first);
    assert_eq!(rows_in(&lake).await, 4);
    lake.replay(&rows(5, 9), Epoch(1)).await.expect("works");
    assert_eq!(rows_in(&lake).await, 8);
    assert_eq!(lake.watermark().await.expect("works")[&SHARD], Seq(9), "the watermark stays");
}
