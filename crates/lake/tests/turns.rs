//! Who writes files has many rows in memory: one at a time, whether a run is staged or files are merged.

#[path = "compaction/port.rs"]
mod port;
#[path = "support/lake.rs"]
mod support;
#[path = "compaction/world.rs"]
mod world;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use watershed_lake::CompactionLimits;
use watershed_schema::Epoch;

use world::{OURS, World};

static IS_TAKEN: AtomicBool = AtomicBool::new(false);
static MERGES: AtomicUsize = AtomicUsize::new(0);

/// Fail points are of the whole process, so this is the only test of its file.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_are_merged_while_nobody_else_has_the_turn() {
    assert!(fail::has_failpoints(), "build with --features watershed-cli/failpoints");
    let _alone = fail::FailScenario::setup();
    let world = World::new().await;
    for run in 0..6 {
        world.commit(OURS, (1 + run * 40, 41 + run * 40), Epoch(1)).await;
    }
    let merge = || {
        MERGES.fetch_add(1, Ordering::SeqCst);
        assert!(!IS_TAKEN.load(Ordering::SeqCst), "somebody else has the turn");
    };
    fail::cfg_callback("lake::merge", merge).expect("a fail point");
    let lake = world.lake.clone();
    let merged = tokio::spawn(async move { lake.compact(&CompactionLimits::default(), Epoch(1)).await });
    while !merged.is_finished() {
        let turn = world.lake.turn().await;
        IS_TAKEN.store(true, Ordering::SeqCst);
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        IS_TAKEN.store(false, Ordering::SeqCst);
        drop(turn);
    }
    let merged = merged.await.expect("had turns of its own").expect("compacts").expect("something");
    assert_eq!((merged.files_before, merged.files_after), (24, 4));
    assert!(MERGES.load(Ordering::SeqCst) >= 8, "four orders, and columns in that order, of four partitions");
}
