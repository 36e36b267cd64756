//! Rows that must go, against the real SQLite catalog and real Parquet: they go, all others stay, once.

#[path = "compaction/port.rs"]
mod port;
#[path = "support/lake.rs"]
mod support;
#[path = "compaction/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array as _, AsArray as _, StringArray};
use futures::TryStreamExt as _;
use iceberg::ErrorKind;
use iceberg::spec::Operation;
use iceberg::table::Table;
use watershed_lake::{CompactionLimits, Deleted, Doomed, LakeError};
use watershed_schema::{Epoch, Seq};

use port::Fault;
use world::{OURS, THEIRS, World, content};

const EPOCH: Epoch = Epoch(3);
const HOUR_US: i64 = 3_600_000_000;

type Row = (String, Option<String>, Option<String>, String, i64);

/// Tenant, actor, device, id and hour of every row.
async fn rows(table: &Table) -> BTreeSet<Row> {
    let scan = table.scan().select(["ns", "actor_id", "anonymous_id", "id", "timestamp"]).build().expect("a scan");
    let batches: Vec<_> = scan.to_arrow().await.expect("reads").try_collect().await.expect("reads");
    let mut found = BTreeSet::new();
    for batch in &batches {
        let texts: Vec<&StringArray> = (0..4).map(|column| batch.column(column).as_string()).collect();
        let times = batch.column(4).as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
        let text = |column: usize, row: usize| texts[column].is_valid(row).then(|| texts[column].value(row).to_owned());
        for row in 0..batch.num_rows() {
            let hour = times.value(row) / HOUR_US;
            let one = (text(0, row).expect("ns"), text(1, row), text(2, row), text(3, row).expect("id"), hour);
            assert!(found.insert(one), "each once");
        }
    }
    found
}

async fn archived() -> World {
    let world = World::new().await;
    for run in 0..3 {
        world.commit(OURS, (1 + run * 40, 41 + run * 40), EPOCH).await;
    }
    world
}

fn tenant(ns: &str) -> Doomed {
    Doomed::Tenant { ns: ns.to_owned(), actor: None }
}

fn limits() -> CompactionLimits {
    CompactionLimits::default()
}

async fn operation(world: &World) -> Operation {
    world.table().await.metadata().current_snapshot().expect("a snapshot").summary().operation.clone()
}

async fn delete(world: &World, doomed: &Doomed) -> Deleted {
    world.lake.delete(doomed, &limits(), EPOCH).await.expect("deletes").expect("something")
}

/// Deletes and compares with a filter of the same rows here.
async fn check(doomed: &Doomed, goes: impl Fn(&Row) -> bool) {
    let world = archived().await;
    let (before, marks, pinned) = (rows(&world.table().await).await, world.marks().await, world.lake.pin().await.expect("pins"));
    let stays: BTreeSet<_> = before.iter().filter(|row| !goes(row)).cloned().collect();
    assert!(!stays.is_empty() && stays.len() < before.len(), "it is about some");
    let done = delete(&world, doomed).await;
    assert_eq!(done.rows, (before.len() - stays.len()) as u64);
    assert_eq!(rows(&world.table().await).await, stays);
    assert_eq!(world.lake.delete(doomed, &limits(), EPOCH).await.expect("looks"), None, "nothing is left of it");
    assert_eq!(world.marks().await, marks);
    assert_eq!(rows(&pinned.table).await, before, "who pinned an older snapshot reads it");
    // What is in the lake is still known to be: archiving goes on where it was.
    world.commit(OURS, (121, 131), EPOCH).await;
    assert_eq!(world.lake.watermark().await.expect("reads")[&OURS], Seq(131));
    assert_eq!(rows(&world.table().await).await.len(), stays.len() + 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_goes_and_nobody_else() {
    check(&tenant("other"), |row| row.0 == "other").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_goes_with_what_it_did_before_it_logged_in() {
    let actor = Some("actor-2".to_owned());
    let doomed = Doomed::Tenant { ns: "other".to_owned(), actor: actor.clone() };
    check(&doomed, |row| row.0 == "other" && (row.1 == actor || row.2 == actor)).await;
    let device = Some("actor-5".to_owned());
    let doomed = Doomed::Tenant { ns: "other".to_owned(), actor: device.clone() };
    check(&doomed, |row| row.0 == "other" && row.2 == device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_goes_by_its_tenant() {
    let old = Doomed::Older { than_us: Some(6 * HOUR_US), of_tenants: BTreeMap::new() };
    check(&old, |row| row.4 < 6).await;
    let but = Doomed::Older { than_us: Some(6 * HOUR_US), of_tenants: BTreeMap::from([("other".to_owned(), None)]) };
    check(&but, |row| row.4 < 6 && row.0 != "other").await;
    let only = Doomed::Older { than_us: None, of_tenants: BTreeMap::from([("other".to_owned(), Some(6 * HOUR_US))]) };
    check(&only, |row| row.4 < 6 && row.0 == "other").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_nothing_else_is_dropped_unread() {
    let world = World::new().await;
    world.commit(OURS, (1, 21), EPOCH).await;
    let kept = content(&world.table().await).await;
    let lone = support::rows(THEIRS, (1, 9), "audit");
    world.commit_rows(&lone, EPOCH).await;
    let file = world.files().await.into_iter().find(|file| file.path.contains("audit")).expect("is there");
    // It cannot be read.
    std::fs::write(file.path.trim_start_matches("file://"), "x").expect("a file");
    let old = Doomed::Older { than_us: Some(3 * HOUR_US), of_tenants: BTreeMap::new() };
    let done = delete(&world, &old).await;
    assert_eq!((done.rows, done.files_before, done.files_after, done.bytes_after), (8, 1, 0, 0));
    assert_eq!(operation(&world).await, Operation::Delete);
    assert_eq!(content(&world.table().await).await, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_does_as_much_as_it_may() {
    let world = archived().await;
    let before = rows(&world.table().await).await;
    let limits = CompactionLimits { files_max: 5, ..limits() };
    let mut gone = 0_usize;
    while let Some(done) = world.lake.delete(&tenant("other"), &limits, EPOCH).await.expect("deletes") {
        assert!(done.files_before <= 5 && done.files_after == done.files_before, "{done:?}");
        assert_eq!(operation(&world).await, Operation::Overwrite);
        gone += usize::try_from(done.rows).expect("small");
        assert_eq!(rows(&world.table().await).await.len(), before.len() - gone);
    }
    assert_eq!(gone, before.iter().filter(|row| row.0 == "other").count());
    world.lake.compact(&CompactionLimits::default(), EPOCH).await.expect("compacts").expect("something");
    assert_eq!(rows(&world.table().await).await.len(), before.len() - gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_or_half_heard_deletion_is_done_once() {
    for fault in [
        Fault::Refused(ErrorKind::Unexpected),
        Fault::Applied(ErrorKind::Unexpected),
        Fault::Applied(ErrorKind::CatalogCommitConflicts),
    ] {
        let (world, words) = (archived().await, format!("{fault:?}"));
        let stays: BTreeSet<_> = rows(&world.table().await).await.into_iter().filter(|row| row.0 != "other").collect();
        world.port.plan([fault]);
        delete(&world, &tenant("other")).await;
        assert_eq!((world.port.planned(), rows(&world.table().await).await), (0, stays), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_overtaken_or_fenced_changes_nothing() {
    let world = archived().await;
    let rival = world.request(THEIRS, (1, 9), Epoch(9)).await;
    let (before, on_disk) = (rows(&world.table().await).await.len(), world.on_disk("compacted"));
    world.port.plan([Fault::Overtaken(rival)]);
    let lost = world.lake.delete(&tenant("other"), &limits(), EPOCH).await;
    assert!(matches!(lost, Err(LakeError::Overtaken)), "{lost:?}");
    let fenced = world.lake.delete(&tenant("other"), &limits(), EPOCH).await;
    assert!(matches!(fenced, Err(LakeError::Fenced { .. })), "{fenced:?}");
    assert_eq!((rows(&world.table().await).await.len(), world.on_disk("compacted")), (before + 8, on_disk));
}
