//! How little of a lake of hundreds of files a lookup reads.

#[path = "support/cold.rs"]
mod cold;
#[path = "support/counting.rs"]
mod counting;
#[path = "support/nothing.rs"]
mod nothing;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use watershed_lake::{CACHE_BYTES_DEFAULT, CompactionLimits, SnapshotRetention, StagedRange};
use watershed_query::Engine;
use watershed_schema::{Epoch, Seq, TenantId};

use cold::{Cold, SHARD, SPANS, id, number, session, trace};

const FILES: u64 = 200;
const ROWS: u64 = 64;
/// The figure.
const OPENED_MAX: usize = 5;

/// Looks up until every file was asked for its filter once. Bounds leave files of few traces out, so one lookup is not enough.
async fn warm(cold: &Cold, engine: &Engine) {
    cold.store.take("");
    let mut asked = BTreeMap::new();
    for number in 0..24 {
        engine.trace(&TenantId::default(), &trace(number)).await.expect("reads");
        asked.append(&mut cold.store.take(".parquet"));
    }
    assert_eq!(asked.len() as u64, FILES, "each file was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_among_hundreds_of_files_opens_a_handful() {
    let cold = Cold::new().await;
    cold.fill(FILES, ROWS, 40).await;
    let engine = cold.restarted(CACHE_BYTES_DEFAULT).await;
    let tenant = TenantId::default();
    warm(&cold, &engine).await;
    for number in (100..FILES * ROWS / SPANS).step_by(311) {
        let found = engine.trace(&tenant, &trace(number)).await.expect("reads");
        assert_eq!(found.len() as u64, SPANS, "trace {number}");
        let opened = cold.store.take(".parquet").len();
        assert!((1..=OPENED_MAX).contains(&opened), "trace {number}: {opened} files");
    }
    assert!(engine.trace(&tenant, &trace(1 << 40)).await.expect("reads").is_empty());
    assert!(cold.store.take(".parquet").len() <= OPENED_MAX);
    sql_opens_as_few(&cold, &engine).await;
    nothing_is_known_without_memory(&cold).await;
}

async fn sql_opens_as_few(cold: &Cold, engine: &Engine) {
    let (one, other) = (trace(700), trace(1_011));
    for (condition, traces) in [(format!("= '{one}'"), 1), (format!("IN ('{one}', '{other}')"), 2)] {
        cold.store.take("");
        let sql = format!("SELECT count(*) FROM events WHERE trace_id {condition}");
        assert_eq!(number(engine, &sql).await, i64::try_from(traces * SPANS).expect("small"));
        let opened = cold.store.take(".parquet").len();
        assert!((1..=OPENED_MAX).contains(&opened), "{condition}: {opened} files");
    }
}

/// The same lookup by who may keep nothing asks the files again: it is the filters that were kept which save that.
async fn nothing_is_known_without_memory(cold: &Cold) {
    let forgetful = cold.restarted(0).await;
    for _ in 0..2 {
        cold.store.take("");
        assert_eq!(forgetful.trace(&TenantId::default(), &trace(700)).await.expect("reads").len() as u64, SPANS);
        assert!(cold.store.take(".parquet").len() > 10 * OPENED_MAX);
    }
}

/// Files that a lookup opens.
async fn opened(cold: &Cold, engine: &Engine, number: u64) -> usize {
    cold.store.take("");
    let found = engine.trace(&TenantId::default(), &trace(number)).await.expect("reads");
    assert_eq!(found.len() as u64, SPANS, "trace {number}");
    cold.store.take(".parquet").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_lookup_after_a_restart_opens_a_handful() {
    let cold = Cold::new().await;
    cold.fill(FILES, ROWS, 40).await;
    // Others wrote them, and nothing is kept yet.
    warm(&cold, &cold.restarted_keeping().await).await;
    for number in [100, 700, 1_011] {
        let opened = opened(&cold, &cold.restarted_keeping().await, number).await;
        assert!((1..=OPENED_MAX).contains(&opened), "trace {number}: {opened} files");
    }
    // Filters of all columns were read at once.
    for condition in [format!("session_id = '{}'", session(100)), format!("id = '{}'", id(9_000))] {
        let engine = cold.restarted_keeping().await;
        cold.store.take("");
        assert!(number(&engine, &format!("SELECT count(*) FROM events WHERE {condition}")).await > 0, "{condition}");
        let opened = cold.store.take(".parquet").len();
        assert!((1..=OPENED_MAX).contains(&opened), "{condition}: {opened} files");
    }
    damage(&kept(&cold));
    assert!(opened(&cold, &cold.restarted_keeping().await, 700).await > 10 * OPENED_MAX, "what is damaged is read again");
    assert!(opened(&cold, &cold.restarted_keeping().await, 700).await <= OPENED_MAX, "and kept again");
    what_cannot_be_kept_on_the_disk_is_kept_in_memory(&cold).await;
}

async fn what_cannot_be_kept_on_the_disk_is_kept_in_memory(cold: &Cold) {
    let engine = cold.restarted_keeping().await;
    fs::remove_dir_all(cold.kept()).expect("removes");
    fs::write(cold.kept(), "no folder").expect("writes");
    for engine in [engine, cold.restarted_keeping().await] {
        warm(cold, &engine).await;
        assert!(opened(cold, &engine, 700).await <= OPENED_MAX);
    }
}

fn kept(cold: &Cold) -> Vec<PathBuf> {
    fs::read_dir(cold.kept()).expect("a folder").map(|file| file.expect("a file").path()).collect()
}

/// Takes all set bits out of the filters: whoever believes them finds nothing.
fn damage(files: &[PathBuf]) {
    for file in files {
        let mut bytes = fs::read(file).expect("reads");
        bytes[4_096..].chunks_mut(4_096).for_each(|page| page[..4_064].fill(0));
        fs::write(file, bytes).expect("writes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_writes_or_compacts_it_need_not_ask_and_what_is_gone_is_not_kept() {
    let (cold, files, rows) = (Cold::keeping().await, 20, 64);
    for half in 0..2 {
        let mut ranges = Vec::new();
        for file in 0..files {
            let (from, to) = (1 + (half * files + file) * rows, 1 + (half * files + file + 1) * rows);
            let written = cold.lake.write(&cold::rows((from, to), i64::try_from(file).expect("small")), Epoch(1)).await;
            ranges.push(StagedRange { shard: SHARD, from_seq: Seq(from), to_seq: Seq(to), files: written.expect("writes") });
        }
        cold.commit(ranges).await;
    }
    let handful = async |files: usize| {
        assert_eq!(kept(&cold).len(), files);
        for number in [1, 77, 300] {
            let opened = opened(&cold, &cold.restarted_keeping().await, number).await;
            assert!((1..=OPENED_MAX).contains(&opened), "{opened} files");
        }
        assert_eq!(kept(&cold).len(), files, "nothing was asked for its filters");
    };
    handful(40).await;
    cold.lake.compact(&CompactionLimits::default(), Epoch(1)).await.expect("compacts").expect("something");
    handful(60).await;
    let newest = SnapshotRetention { age: Duration::ZERO, count: 1 };
    cold.lake.expire(&newest, Epoch(1)).await.expect("expires").expect("something");
    handful(20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_change_is_read_once() {
    let (files, rows) = (40, 64);
    let cold = Cold::new().await;
    cold.fill(files, rows, 10).await;
    let all = i64::try_from(files * rows).expect("small");
    let engine = cold.restarted(CACHE_BYTES_DEFAULT).await;
    let first = requests(&cold, &engine, all).await;
    let again = requests(&cold, &engine, all).await;
    assert!(again.0 + usize::try_from(files).expect("few files") <= first.0, "footers: {again:?} after {first:?}");
    assert_eq!(again.1, 0, "metadata: {first:?} at first");
    assert!(first.1 > 4, "a list and a manifest of each commit: {first:?}");
    let forgetful = cold.restarted(0).await;
    let first = requests(&cold, &forgetful, all).await;
    assert_eq!(requests(&cold, &forgetful, all).await, first, "without a cache everything is asked for again");
}

/// For data files and for metadata.
async fn requests(cold: &Cold, engine: &Engine, rows: i64) -> (usize, usize) {
    cold.store.take("");
    let sql = "SELECT count(*) FROM events WHERE event_name = 'GET /' AND duration_ms IS NULL";
    assert_eq!(number(engine, sql).await, rows);
    let data = cold.store.take(".parquet").values().sum();
    (data, cold.store.take("").values().sum())
}
