//! The commit loop while the catalog fails, loses answers or serves another first: each row is in the table once, the
//! watermark is right, no file is gone.

#[path = "faults/faulty.rs"]
mod faulty;
#[path = "support/lake.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use iceberg::{Catalog, ErrorKind};
use tokio::task::JoinSet;
use watershed_lake::{CommitRequest, FileFilter, Lake, LakeError};
use watershed_schema::{Epoch, Seq, ShardId};

use faulty::{Fault, Faulty};

const CONFLICT: ErrorKind = ErrorKind::CatalogCommitConflicts;
const UNKNOWN: ErrorKind = ErrorKind::Unexpected;
const OURS: ShardId = ShardId(0);
const THEIRS: ShardId = ShardId(1);
const EPOCH: Epoch = Epoch(1);

struct World {
    dir: tempfile::TempDir,
    catalog: Arc<Faulty>,
    lake: Lake,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let catalog = Arc::new(Faulty::new(support::catalog(dir.path()).await));
        let lake = Lake::open(Arc::clone(&catalog) as Arc<dyn Catalog>).await.expect("opens");
        Self { dir, catalog, lake }
    }

    /// Names of committed files, each as often as the table lists it. A name tells shard, range and epoch.
    async fn committed(&self) -> Vec<String> {
        let pinned = self.lake.pin().await.expect("pins");
        let files = pinned.files(&FileFilter::default()).await.expect("lists");
        sorted(files.iter().map(|file| name_of(file.path.as_ref())).collect())
    }

    async fn expect_watermark(&self, shard: ShardId, to: u64) {
        assert_eq!(self.lake.watermark().await.expect("reads").get(&shard), Some(&Seq(to)), "{shard}");
    }

    /// Data files on the disk.
    fn on_disk(&self) -> BTreeSet<String> {
        let files = walk(&self.dir.path().join("warehouse")).into_iter();
        files.filter(|path| path.extension().is_some_and(|end| end == "parquet")).map(|path| name_of(&path)).collect()
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("a file").to_string_lossy().into_owned()
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// Stages `from..to` of a shard.
async fn request(lake: &Lake, shard: ShardId, range: (u64, u64), epoch: Epoch) -> CommitRequest {
    support::request(lake, &support::rows(shard, range, "log"), epoch).await
}

/// Commits once through these faults, then goes on.
async fn survives(faults: Vec<Fault>) {
    let (world, words) = (World::new().await, format!("{faults:?}"));
    let first = request(&world.lake, OURS, (1, 6), EPOCH).await;
    world.catalog.plan(faults);
    world.lake.commit(&first).await.unwrap_or_else(|error| panic!("{words}: {error}"));
    assert_eq!(world.catalog.planned(), 0, "{words}: all came up");
    assert_eq!(world.committed().await, ["0-1-6-1.parquet"], "{words}");
    world.expect_watermark(OURS, 6).await;
    world.lake.commit(&request(&world.lake, OURS, (6, 8), EPOCH).await).await.expect("goes on");
    let both = ["0-1-6-1.parquet", "0-6-8-1.parquet"];
    assert_eq!(world.committed().await, both, "{words}");
    assert_eq!(world.on_disk(), both.map(str::to_owned).into(), "{words}");
    world.expect_watermark(OURS, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_or_half_heard_commit_adds_its_rows_once() {
    let cases = [
        vec![Fault::Refused(CONFLICT)],
        vec![Fault::Refused(UNKNOWN)],
        vec![Fault::Refused(UNKNOWN), Fault::Refused(CONFLICT)],
        vec![Fault::Applied(UNKNOWN)],
        vec![Fault::Applied(CONFLICT)],
        vec![Fault::Refused(UNKNOWN), Fault::Applied(UNKNOWN)],
        vec![Fault::Refused(CONFLICT), Fault::Applied(CONFLICT)],
    ];
    let all: JoinSet<()> = cases.into_iter().map(survives).collect();
    all.join_all().await;
}

type Overtaken = fn(CommitRequest) -> Fault;
const BOTH_MOMENTS: [Overtaken; 2] = [Fault::OvertakenEarly, Fault::OvertakenLate];

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_overtaken_by_another_shard_is_examined_again() {
    for overtaken in BOTH_MOMENTS {
        let world = World::new().await;
        let ours = request(&world.lake, OURS, (1, 6), EPOCH).await;
        world.catalog.plan([overtaken(request(&world.lake, THEIRS, (1, 4), EPOCH).await)]);
        world.lake.commit(&ours).await.expect("commits after it");
        assert_eq!(world.committed().await, ["0-1-6-1.parquet", "1-1-4-1.parquet"]);
        world.expect_watermark(OURS, 6).await;
        world.expect_watermark(THEIRS, 4).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_overtaken_by_itself_is_done() {
    for overtaken in BOTH_MOMENTS {
        let world = World::new().await;
        let ours = request(&world.lake, OURS, (1, 6), EPOCH).await;
        world.catalog.plan([overtaken(ours.clone())]);
        world.lake.commit(&ours).await.expect("finds itself");
        assert_eq!(world.committed().await, ["0-1-6-1.parquet"]);
        world.expect_watermark(OURS, 6).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_overtaken_by_a_newer_owner_adds_nothing_and_deletes_nothing() {
    for overtaken in BOTH_MOMENTS {
        let world = World::new().await;
        let ours = request(&world.lake, OURS, (1, 6), EPOCH).await;
        world.catalog.plan([overtaken(request(&world.lake, OURS, (1, 9), Epoch(2)).await)]);
        let staged = world.on_disk();
        let refused = world.lake.commit(&ours).await;
        assert!(matches!(refused, Err(LakeError::Fenced { .. })), "{refused:?}");
        assert_eq!(world.committed().await, ["0-1-9-2.parquet"]);
        world.expect_watermark(OURS, 9).await;
        assert_eq!(world.on_disk(), staged, "our files stay, as orphans");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_overtaken_on_its_own_range_adds_nothing() {
    for overtaken in BOTH_MOMENTS {
        let world = World::new().await;
        let ours = request(&world.lake, OURS, (1, 6), EPOCH).await;
        world.catalog.plan([overtaken(request(&world.lake, OURS, (1, 9), EPOCH).await)]);
        let refused = world.lake.commit(&ours).await;
        assert!(matches!(refused, Err(LakeError::NotContiguous { .. })), "{refused:?}");
        assert_eq!(world.committed().await, ["0-1-9-1.parquet"]);
        world.expect_watermark(OURS, 9).await;
    }
}

const LAKES: u64 = 8;
const COMMITS: u64 = 10;
const ROWS: u64 = 3;

/// Numbers that only look random (splitmix64).
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33
}

fn range(step: u64) -> (u64, u64) {
    (1 + step * ROWS, 1 + (step + 1) * ROWS)
}

/// None, one or two faults; each rival brings its shard's next range.
async fn mixed(world: &World, state: &mut u64, rivals: &mut u64) -> Vec<Fault> {
    let mut faults = Vec::new();
    for _ in 0..draw(state) % 3 {
        faults.push(match draw(state) % 6 {
            0 => Fault::Refused(CONFLICT),
            1 => Fault::Refused(UNKNOWN),
            2 => Fault::Applied(CONFLICT),
            3 => Fault::Applied(UNKNOWN),
            moment => {
                *rivals += 1;
                let theirs = request(&world.lake, THEIRS, range(*rivals - 1), EPOCH).await;
                if moment == 4 { Fault::OvertakenEarly(theirs) } else { Fault::OvertakenLate(theirs) }
            }
        });
        if matches!(faults.last(), Some(Fault::Applied(_))) {
            break;
        }
    }
    faults
}

async fn run_of_faults(seed: u64) {
    let (world, mut state, mut rivals) = (World::new().await, seed, 0);
    for step in 0..COMMITS {
        let ours = request(&world.lake, OURS, range(step), EPOCH).await;
        world.catalog.plan(mixed(&world, &mut state, &mut rivals).await);
        world.lake.commit(&ours).await.unwrap_or_else(|error| panic!("seed {seed}, commit {step}: {error}"));
        assert_eq!(world.catalog.planned(), 0, "seed {seed}, commit {step}: all came up");
        world.expect_watermark(OURS, range(step).1).await;
    }
    let name = |shard: ShardId| move |(from, to)| format!("{shard}-{from}-{to}-{EPOCH}.parquet");
    let ours = (0..COMMITS).map(range).map(name(OURS));
    let expected: Vec<String> = ours.chain((0..rivals).map(range).map(name(THEIRS))).collect();
    let expected = sorted(expected);
    assert_eq!(world.committed().await, expected, "seed {seed}");
    assert_eq!(world.on_disk(), expected.into_iter().collect(), "seed {seed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_run_of_mixed_faults_adds_each_row_once() {
    let all: JoinSet<()> = (0..LAKES).map(run_of_faults).collect();
    all.join_all().await;
}
