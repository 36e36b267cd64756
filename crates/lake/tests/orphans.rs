//! Removal of orphans in a folder and in a bucket: what anybody names stays, the rest goes when it is old enough.

#[path = "compaction/port.rs"]
mod port;
#[path = "support/lake.rs"]
mod support;
#[path = "compaction/world.rs"]
mod world;

use std::time::Duration;

use iceberg::ErrorKind;
use watershed_lake::{CompactionLimits, GivenUp, LakeError, Logged, OrphanRule, StagedFile};
use watershed_schema::Epoch;

use port::Fault;
use world::{OURS, THEIRS, World, content};

const EPOCH: Epoch = Epoch(3);
const ALL: OrphanRule = OrphanRule { age: Duration::ZERO, with_metadata: true, dry_run: false };

const NONE: Logged = Logged { files: Vec::new(), letters: Vec::new() };
const WHY: GivenUp<'_> = GivenUp { reason: "no", attempts: 1, since_us: 0 };

fn staged(request: &watershed_lake::CommitRequest) -> Vec<StagedFile> {
    request.ranges.iter().flat_map(|range| range.files.all().cloned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_stays_and_the_rest_goes() {
    let world = World::new().await;
    for run in 0..3 {
        world.commit(OURS, (1 + run * 8, 9 + run * 8), EPOCH).await;
    }
    world.lake.compact(&CompactionLimits::default(), EPOCH).await.expect("compacts").expect("something");
    let (before, named) = (content(&world.table().await).await, world.on_disk(""));
    let staged = staged(&world.request(THEIRS, (1, 9), EPOCH).await);
    let rows = support::rows(THEIRS, (9, 13), "log");
    let letter = world.lake.put_letter(&rows, WHY).await.expect("writes");
    let logged = Logged { files: staged.clone(), letters: vec![letter.clone()] };
    let with_staged = world.on_disk("");
    let none = world.lake.remove_orphans(&ALL, &logged, EPOCH).await.expect("looks");
    assert_eq!((none.files, none.names.len()), (0, 0), "also the files of older snapshots: {none:?}");
    assert_eq!(world.on_disk(""), with_staged);

    assert_eq!(world.lake.letter(&letter).await.expect("is there").len(), 4);

    // Forgotten by the logs, and files of others.
    world.put("data/hour=1/event_type=%2E%2E/9-1-2-3.parquet");
    world.put("metadata/00001-abc.metadata.json");
    world.put("metadata/list-abc-1.avro");
    world.put("data/README");
    world.put("elsewhere/x.parquet");
    let dry = world.lake.remove_orphans(&OrphanRule { dry_run: true, ..ALL }, &NONE, EPOCH).await.expect("looks");
    assert_eq!((dry.files, dry.files_left), (staged.len() + 4, 0), "{dry:?}");
    assert!(dry.bytes > 0 && dry.names.contains(&"metadata/list-abc-1.avro".to_owned()), "{dry:?}");
    let young = OrphanRule { age: Duration::from_secs(3_600), ..ALL };
    assert_eq!(world.lake.remove_orphans(&young, &NONE, EPOCH).await.expect("looks").files, 0, "they are young");
    let of_server = OrphanRule { with_metadata: false, dry_run: true, ..ALL };
    assert_eq!(world.lake.remove_orphans(&of_server, &NONE, EPOCH).await.expect("looks").files, staged.len() + 3);
    assert_eq!(world.lake.remove_orphans(&ALL, &NONE, EPOCH).await.expect("removes"), dry);
    let left: Vec<_> = world.on_disk("").difference(&named).cloned().collect();
    assert!(left.len() == 2 && left[0].ends_with("data/README") && left[1].ends_with("elsewhere/x.parquet"), "{left:?}");
    assert_eq!(content(&world.table().await).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_ended_round_left_is_an_orphan() {
    let world = World::new().await;
    world.commit(OURS, (1, 9), EPOCH).await;
    world.commit(OURS, (9, 17), EPOCH).await;
    let (before, named) = (content(&world.table().await).await, world.on_disk(""));
    world.port.plan([Fault::Refused(ErrorKind::Unexpected)]);
    // Dropped while it waits for its second attempt.
    let limits = CompactionLimits::default();
    tokio::select! {
        done = world.lake.compact(&limits, EPOCH) => panic!("{done:?}"),
        () = world.port.answered() => {}
    }
    assert!(world.on_disk("").len() > named.len());
    let gone = world.lake.remove_orphans(&ALL, &NONE, EPOCH).await.expect("removes");
    assert!(gone.files >= 4 && gone.files_left == 0, "{gone:?}");
    assert_eq!(world.on_disk(""), named);
    assert_eq!(content(&world.table().await).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_owner_removes_nothing() {
    let world = World::new().await;
    world.commit(OURS, (1, 9), EPOCH).await;
    world.put("metadata/list-abc-1.avro");
    let files = world.on_disk("");
    let refused = world.lake.remove_orphans(&ALL, &NONE, Epoch(2)).await;
    assert!(matches!(refused, Err(LakeError::Fenced { .. })), "{refused:?}");
    assert_eq!(world.on_disk(""), files);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_lacks_what_is_named_is_not_trusted() {
    let world = World::new().await;
    world.commit(OURS, (1, 9), EPOCH).await;
    world.put("metadata/list-abc-1.avro");
    std::fs::remove_file(world.files().await[0].path.trim_start_matches("file://")).expect("a file");
    let files = world.on_disk("");
    let refused = world.lake.remove_orphans(&ALL, &NONE, EPOCH).await.expect_err("is refused").to_string();
    assert!(refused.contains("1 files that the table names are not in its folder"), "{refused}");
    assert_eq!(world.on_disk(""), files);
}
