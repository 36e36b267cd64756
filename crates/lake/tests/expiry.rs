//! Expiry of snapshots against the real SQLite catalog: what nobody needs goes, what anybody needs stays.

#[path = "compaction/port.rs"]
mod port;
#[path = "support/lake.rs"]
mod support;
#[path = "compaction/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use iceberg::ErrorKind;
use watershed_lake::{CompactionLimits, Expired, LakeError, SnapshotRetention};
use watershed_schema::{Epoch, Seq};

use port::Fault;
use world::{OURS, THEIRS, World, content};

const EPOCH: Epoch = Epoch(3);
const NOTHING: SnapshotRetention = SnapshotRetention { age: Duration::ZERO, count: 1 };

/// Three runs of four files each, then compacted into four: four snapshots.
async fn compacted() -> World {
    let world = World::new().await;
    for run in 0..3 {
        world.commit(OURS, (1 + run * 8, 9 + run * 8), EPOCH).await;
    }
    world.lake.compact(&CompactionLimits::default(), EPOCH).await.expect("compacts").expect("something");
    assert_eq!(world.table().await.metadata().snapshots().len(), 4);
    world
}

/// Everything that the newest metadata names.
async fn named(world: &World) -> BTreeSet<String> {
    let table = world.table().await;
    let mut named: BTreeSet<String> = world.files().await.into_iter().map(|file| file.path).collect();
    for snapshot in table.metadata().snapshots() {
        named.insert(snapshot.manifest_list().to_owned());
        let list = table.manifest_list_reader(snapshot).load().await.expect("reads");
        named.extend(list.entries().iter().map(|manifest| manifest.manifest_path.clone()));
    }
    named.into_iter().map(|path| path.trim_start_matches("file://").to_owned()).collect()
}

/// Data files, manifests and lists.
fn on_disk(world: &World) -> BTreeSet<String> {
    world.on_disk("").into_iter().filter(|path| path.ends_with(".parquet") || path.ends_with(".avro")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_snapshots_go_with_the_files_that_only_they_named() {
    let world = compacted().await;
    let (before, marks, all) = (content(&world.table().await).await, world.marks().await, on_disk(&world).len());
    let done = world.lake.expire(&NOTHING, EPOCH).await.expect("expires").expect("something");
    assert_eq!((done.snapshots, done.files_left), (3, 0));
    assert_eq!(on_disk(&world), named(&world).await, "what is named and nothing else");
    assert_eq!(done.files, all - on_disk(&world).len());
    assert_eq!((content(&world.table().await).await, world.marks().await), (before, marks));
    assert_eq!(world.lake.expire(&NOTHING, EPOCH).await.expect("looks"), None);
    // The archive goes on.
    world.commit(OURS, (25, 33), EPOCH).await;
    assert_eq!(world.lake.watermark().await.expect("reads")[&OURS], Seq(33));
    assert_eq!(content(&world.table().await).await.len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_lives_on_in_another_manifest_stays() {
    let world = World::new().await;
    world.commit(OURS, (1, 3), EPOCH).await;
    world.commit(OURS, (3, 41), EPOCH).await;
    // Two partitions have one file each: these stay, in a manifest that was written anew.
    let done = world.lake.compact(&CompactionLimits::default(), EPOCH).await.expect("compacts").expect("something");
    assert_eq!((done.files_before, world.files().await.len()), (4, 4));
    let before = content(&world.table().await).await;
    world.lake.expire(&NOTHING, EPOCH).await.expect("expires").expect("something");
    assert_eq!(on_disk(&world), named(&world).await);
    assert_eq!(content(&world.table().await).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reader_may_have_pinned_stays() {
    let world = World::new().await;
    world.commit(OURS, (1, 9), EPOCH).await;
    world.commit(OURS, (9, 17), EPOCH).await;
    let pinned = world.lake.pin().await.expect("pins");
    let before = content(&pinned.table).await;
    world.lake.compact(&CompactionLimits::default(), EPOCH).await.expect("compacts").expect("something");
    let young = SnapshotRetention { age: Duration::from_secs(3_600), count: 1 };
    assert_eq!(world.lake.expire(&young, EPOCH).await.expect("looks"), None, "all are young");
    let two = SnapshotRetention { age: Duration::ZERO, count: 2 };
    assert_eq!(world.lake.expire(&two, EPOCH).await.expect("expires").map(|done| done.snapshots), Some(1));
    assert_eq!(content(&pinned.table).await, before, "the files of the one before the newest are there");
    world.lake.expire(&NOTHING, EPOCH).await.expect("expires").expect("the last but one");
    assert_eq!(content(&world.table().await).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_owner_removes_nothing() {
    let world = compacted().await;
    let (snapshots, files) = (world.table().await.metadata().snapshots().len(), world.on_disk(""));
    let refused = world.lake.expire(&NOTHING, Epoch(2)).await;
    assert!(matches!(refused, Err(LakeError::Fenced { .. })), "{refused:?}");
    assert_eq!((world.table().await.metadata().snapshots().len(), world.on_disk("")), (snapshots, files));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_is_fenced_when_the_newer_owner_comes_meanwhile() {
    let world = compacted().await;
    let files = on_disk(&world);
    world.port.plan([Fault::Overtaken(world.request(THEIRS, (1, 9), Epoch(9)).await)]);
    let lost = world.lake.expire(&NOTHING, EPOCH).await;
    assert!(matches!(lost, Err(LakeError::Fenced { .. })), "{lost:?}");
    assert_eq!(world.table().await.metadata().snapshots().len(), 5);
    assert!(on_disk(&world).is_superset(&files), "nothing is deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_meanwhile_keeps_its_files() {
    let world = compacted().await;
    world.port.plan([Fault::Overtaken(world.request(THEIRS, (1, 9), EPOCH).await)]);
    let done = world.lake.expire(&NOTHING, EPOCH).await.expect("expires").expect("something");
    assert_eq!((done.snapshots, world.table().await.metadata().snapshots().len()), (3, 2));
    assert_eq!(on_disk(&world), named(&world).await);
    assert_eq!(content(&world.table().await).await.len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_or_half_heard_expiry_is_done_once() {
    let cases = [
        vec![Fault::Refused(ErrorKind::Unexpected)],
        vec![Fault::Applied(ErrorKind::Unexpected)],
        vec![Fault::Applied(ErrorKind::CatalogCommitConflicts)],
        vec![Fault::Refused(ErrorKind::CatalogCommitConflicts), Fault::Applied(ErrorKind::Unexpected)],
    ];
    for faults in cases {
        let (world, words) = (compacted().await, format!("{faults:?}"));
        let before = content(&world.table().await).await;
        world.port.plan(faults);
        let done = world.lake.expire(&NOTHING, EPOCH).await.unwrap_or_else(|error| panic!("{words}: {error}"));
        assert!(matches!(done, Some(Expired { snapshots: 3, files_left: 0, .. })), "{words}: {done:?}");
        assert_eq!(world.port.planned(), 0, "{words}: all came up");
        assert_eq!(on_disk(&world), named(&world).await, "{words}");
        assert_eq!(content(&world.table().await).await, before, "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_that_ends_before_its_outcome_is_known_deletes_nothing() {
    for fault in [Fault::Refused(ErrorKind::Unexpected), Fault::Applied(ErrorKind::Unexpected)] {
        let (world, words) = (compacted().await, format!("{fault:?}"));
        let (before, files) = (content(&world.table().await).await, on_disk(&world));
        world.port.plan([fault]);
        // Dropped while it waits before it looks again.
        tokio::select! {
            done = world.lake.expire(&NOTHING, EPOCH) => panic!("{words}: {done:?}"),
            () = world.port.answered() => {}
        }
        assert_eq!(on_disk(&world), files, "{words}");
        assert_eq!(content(&world.table().await).await, before, "{words}");
    }
}
