//! Compaction against the real SQLite catalog and real Parquet: fewer files, the same rows, the same marks of the archive.

#[path = "compaction/deletes.rs"]
mod deletes;
#[path = "compaction/port.rs"]
mod port;
#[path = "support/lake.rs"]
mod support;
#[path = "compaction/world.rs"]
mod world;

use std::collections::BTreeSet;

use iceberg::ErrorKind;
use watershed_lake::{CompactionLimits, LakeError};
use watershed_schema::{Epoch, Seq};

use port::Fault;
use world::{OURS, THEIRS, World, content, sorted_inside};

const LIMITS: CompactionLimits =
    CompactionLimits { target_bytes: 1 << 30, files_max: 1_000, bytes_max: 1 << 30, decoded_bytes_max: 8 << 20, threads: 2 };
const EPOCH: Epoch = Epoch(3);

#[tokio::test(flavor = "multi_thread")]
async fn many_small_files_become_few_and_every_row_stays() {
    let world = World::new().await;
    for run in 0..6 {
        world.commit(OURS, (1 + run * 40, 41 + run * 40), EPOCH).await;
    }
    let (before, files) = (content(&world.table().await).await, world.files().await);
    assert_eq!((before.len(), files.len()), (240, 24), "four partitions");
    let done = world.lake.compact(&LIMITS, EPOCH).await.expect("compacts").expect("something");
    assert_eq!((done.files_before, done.files_after, done.rows), (24, 4, 240));
    let after = world.files().await;
    assert_eq!(after.len(), 4);
    assert_eq!(after.iter().map(|file| file.size).sum::<u64>(), done.bytes_after);
    assert_eq!(files.iter().map(|file| file.size).sum::<u64>(), done.bytes_before);
    for file in &after {
        assert_eq!(sorted_inside(file), 60, "{}", file.path);
    }
    assert_eq!(content(&world.table().await).await, before);
    assert_eq!(world.lake.compact(&LIMITS, EPOCH).await.expect("looks"), None, "nothing is left to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_stay_and_the_archive_goes_on() {
    let world = World::new().await;
    world.commit(THEIRS, (1, 9), EPOCH).await;
    let last = world.commit(OURS, (1, 21), EPOCH).await;
    let (marks, properties) = (world.marks().await, world.properties().await);
    assert_eq!(marks["watershed.epoch"], "3");
    world.lake.compact(&LIMITS, EPOCH).await.expect("compacts").expect("something");
    assert_eq!(world.marks().await, marks, "of the snapshot");
    assert_eq!(world.properties().await, properties, "of the table");
    assert_eq!(world.counts().await, [("replace", 4, 28, 4, 8)], "operation, files, records, added, deleted");
    world.lake.commit(&last).await.expect("is there already");
    assert_eq!(content(&world.table().await).await.len(), 28, "a repeated commit adds nothing");
    world.commit(OURS, (21, 31), Epoch(4)).await;
    let watermark = world.lake.watermark().await.expect("reads");
    assert_eq!((watermark[&OURS], watermark[&THEIRS]), (Seq(31), Seq(9)));
    assert_eq!(world.marks().await["watershed.epoch"], "4");
    let before = content(&world.table().await).await;
    assert_eq!(before.len(), 38);
    world.lake.compact(&LIMITS, Epoch(4)).await.expect("compacts").expect("something");
    assert_eq!(content(&world.table().await).await, before, "what was compacted once is again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_snapshot_is_still_read() {
    let world = World::new().await;
    world.commit(OURS, (1, 21), EPOCH).await;
    world.commit(OURS, (21, 41), EPOCH).await;
    let pinned = world.lake.pin().await.expect("pins");
    let before = content(&pinned.table).await;
    world.lake.compact(&LIMITS, EPOCH).await.expect("compacts").expect("something");
    assert_eq!(pinned.files(&watershed_lake::FileFilter::default()).await.expect("lists").len(), 8);
    assert_eq!(content(&pinned.table).await, before);
    assert_eq!(world.lake.pin().await.expect("pins").watermark, pinned.watermark);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_stay_keep_their_sequence_numbers() {
    let world = World::new().await;
    world.commit(OURS, (1, 3), EPOCH).await;
    world.commit(OURS, (3, 41), EPOCH).await;
    let before = world.sequence_numbers().await;
    // Two files of the first two partitions, one of the others.
    let done = world.lake.compact(&LIMITS, EPOCH).await.expect("compacts").expect("something");
    assert_eq!((done.files_before, done.files_after), (4, 2));
    let after = world.sequence_numbers().await;
    let (kept, added): (Vec<_>, Vec<_>) = after.iter().partition(|(path, _)| before.contains_key(*path));
    assert_eq!((kept.len(), added.len()), (2, 2));
    assert!(kept.iter().all(|(path, numbers)| before[*path] == **numbers), "{before:?} {after:?}");
    assert!(added.iter().all(|(_, numbers)| **numbers == (3, 3)), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_does_as_much_as_it_may() {
    let world = World::new().await;
    for run in 0..5 {
        world.commit(OURS, (1 + run * 8, 9 + run * 8), EPOCH).await;
    }
    let before = content(&world.table().await).await;
    let limits = CompactionLimits { files_max: 7, ..LIMITS };
    let mut rounds = Vec::new();
    while let Some(done) = world.lake.compact(&limits, EPOCH).await.expect("compacts") {
        assert!(done.files_before <= 7 && done.files_after < done.files_before, "{done:?}");
        rounds.push(done.files_before);
        assert_eq!(content(&world.table().await).await, before);
    }
    assert_eq!((rounds, world.files().await.len()), (vec![7, 7, 7, 2], 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_is_overtaken_changes_nothing() {
    let world = World::new().await;
    for run in 0..3 {
        world.commit(OURS, (1 + run * 8, 9 + run * 8), EPOCH).await;
    }
    let rival = world.request(THEIRS, (1, 9), EPOCH).await;
    let on_disk = world.on_disk("");
    world.port.plan([Fault::Overtaken(rival)]);
    let lost = world.lake.compact(&LIMITS, EPOCH).await;
    assert!(matches!(lost, Err(LakeError::Overtaken)), "{lost:?}");
    let left: Vec<_> = world.on_disk("").difference(&on_disk).cloned().collect();
    assert!(
        left.iter().all(|path| !path.contains("compacted") && !path.contains("manifest-") && !path.contains("list-")),
        "{left:?}"
    );
    assert_eq!(world.files().await.len(), 16);
    assert_eq!(content(&world.table().await).await.len(), 32);
    assert_eq!(world.lake.watermark().await.expect("reads")[&THEIRS], Seq(9));
    world.lake.compact(&LIMITS, EPOCH).await.expect("compacts").expect("something");
    assert_eq!((world.files().await.len(), content(&world.table().await).await.len()), (4, 32));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_or_half_heard_compaction_is_done_once() {
    let cases = [
        vec![Fault::Refused(ErrorKind::Unexpected)],
        vec![Fault::Refused(ErrorKind::CatalogCommitConflicts)],
        vec![Fault::Applied(ErrorKind::Unexpected)],
        vec![Fault::Applied(ErrorKind::CatalogCommitConflicts)],
        vec![Fault::Refused(ErrorKind::Unexpected), Fault::Applied(ErrorKind::Unexpected)],
    ];
    for faults in cases {
        let (world, words) = (World::new().await, format!("{faults:?}"));
        world.commit(OURS, (1, 9), EPOCH).await;
        world.commit(OURS, (9, 17), EPOCH).await;
        let before = content(&world.table().await).await;
        world.port.plan(faults);
        let done = world.lake.compact(&LIMITS, EPOCH).await.unwrap_or_else(|error| panic!("{words}: {error}"));
        assert_eq!(done.map(|done| (done.files_before, done.files_after)), Some((8, 4)), "{words}");
        assert_eq!(world.port.planned(), 0, "{words}: all came up");
        assert_eq!(content(&world.table().await).await, before, "{words}");
        let files: BTreeSet<_> = world.files().await.into_iter().map(|file| file.path).collect();
        assert_eq!(files.len(), 4, "{words}");
        assert_eq!(world.on_disk("compacted").len(), 4, "{words}: written once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_owner_compacts_nothing() {
    let world = World::new().await;
    world.commit(OURS, (1, 9), EPOCH).await;
    world.commit(OURS, (9, 17), EPOCH).await;
    let (snapshot, on_disk) = (world.snapshot().await, world.on_disk(""));
    let refused = world.lake.compact(&LIMITS, Epoch(2)).await;
    assert!(matches!(refused, Err(LakeError::Fenced { .. })), "{refused:?}");
    assert_eq!((world.snapshot().await, world.on_disk("")), (snapshot, on_disk));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_owner_that_commits_meanwhile_wins() {
    let world = World::new().await;
    world.commit(OURS, (1, 9), EPOCH).await;
    world.commit(OURS, (9, 17), EPOCH).await;
    world.port.plan([Fault::Overtaken(world.request(OURS, (17, 25), Epoch(9)).await)]);
    let lost = world.lake.compact(&LIMITS, EPOCH).await;
    assert!(matches!(lost, Err(LakeError::Overtaken)), "{lost:?}");
    assert_eq!(world.marks().await["watershed.epoch"], "9");
    assert_eq!(content(&world.table().await).await.len(), 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_an_older_schema_compact_too() {
    let world = World::new().await;
    world.commit(OURS, (1, 9), EPOCH).await;
    world.add_column("of_tomorrow").await;
    world.commit(OURS, (9, 17), EPOCH).await;
    world.commit(OURS, (17, 25), EPOCH).await;
    let before = content(&world.table().await).await;
    let done = world.lake.compact(&LIMITS, EPOCH).await.expect("compacts").expect("something");
    assert_eq!((done.files_before, done.files_after, done.rows), (12, 4, 24));
    assert_eq!(content(&world.table().await).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_deletes_is_left_alone() {
    let world = World::new().await;
    world.commit(OURS, (1, 9), EPOCH).await;
    world.commit(OURS, (9, 17), EPOCH).await;
    deletes::add(&world).await;
    let (snapshot, on_disk) = (world.snapshot().await, world.on_disk(""));
    let refused = world.lake.compact(&LIMITS, EPOCH).await.expect_err("rows would come back");
    assert!(refused.to_string().contains("the table has deletes"), "{refused}");
    assert_eq!((world.snapshot().await, world.on_disk("")), (snapshot, on_disk));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_same_in_a_file_may_be_another_in_the_next_or_missing() {
    let world = World::new().await;
    // The same in both files, then another in the third, then nothing.
    for (run, payload) in [Some("a"), Some("a"), Some("b"), None].into_iter().enumerate() {
        let from = 1 + 40 * run as u64;
        world.commit_rows(&world::rows_with(OURS, (from, from + 40), payload), EPOCH).await;
        let before = content(&world.table().await).await;
        world.lake.compact(&LIMITS, EPOCH).await.expect("compacts");
        assert_eq!(content(&world.table().await).await, before, "with file {run}");
    }
    assert_eq!(world.files().await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_by_the_limit_and_not_by_the_files() {
    let world = World::new().await;
    let payload = "p".repeat(16 << 10);
    for run in 0..12 {
        let rows = world::rows(OURS, (1 + run * 80, 81 + run * 80), &payload);
        world.commit_rows(&rows, EPOCH).await;
    }
    let before = content(&world.table().await).await;
    let limits = CompactionLimits { decoded_bytes_max: 2 << 20, ..LIMITS };
    let lake = world.lake.clone();
    let done = tokio::spawn(async move { lake.compact(&limits, EPOCH).await }).await.expect("no panic");
    let done = done.expect("compacts").expect("something");
    assert_eq!((done.files_before, done.files_after, done.rows), (48, 4, 960));
    let (peak, partition) = (done.decoded_bytes_peak, 240 * payload.len());
    assert!((1 << 17..2 << 20).contains(&peak), "{peak} bytes at a time, of {partition}");
    assert_eq!(content(&world.table().await).await, before);
}
