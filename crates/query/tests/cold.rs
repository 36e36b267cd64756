//! How little of a lake of hundreds of files a lookup reads.

#[path = "support/cold.rs"]
mod cold;
#[path = "support/counting.rs"]
mod counting;
#[path = "support/nothing.rs"]
mod nothing;

use std::collections::BTreeMap;

use watershed_lake::CACHE_BYTES_DEFAULT;
use watershed_query::Engine;
use watershed_schema::TenantId;

use cold::{Cold, SPANS, number, trace};

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
