//! SQL over real batches and a real Iceberg table. The hot tier is the port filled in with batches in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use async_trait::async_trait;
use futures::TryStreamExt;
use uuid::Uuid;
use watershed_catalog::SqliteCatalog;
use watershed_lake::{CommitRequest, Lake, Rows, ShardRows, Staged, StagedRange, storage};
use watershed_query::{Engine, ErrorKind, HotHead, HotPage, HotRange, HotRequest, HotTier, HotTierError, Limits, QueryError};
use watershed_schema::proto::{PeerPartial, PeerStates};
use watershed_schema::{BatchBuilder, Column, Epoch, EventBatch, Seq, ShardId, TenantId};

const HOUR_US: i64 = 3_600_000_000;
const SHARD: ShardId = ShardId(0);

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("a tenant")
}

/// Event `n` of a tenant: types, traces, hours and services repeat with different periods.
fn batch(owner: &str, events: std::ops::Range<u64>) -> Arc<EventBatch> {
    let mut builder = BatchBuilder::new(tenant(owner), 1024);
    for n in events {
        let at = HOUR_US * 10 + i64::try_from(n).expect("small") * HOUR_US / 7;
        builder.row(None, |row| {
            row.str(Column::Id, &format!("{owner}-{n}"));
            row.str(Column::Ns, owner);
            row.str(Column::EventType, ["trace", "log", "metric"][(n % 3) as usize]);
            row.str(Column::EventName, &format!("name {}", n % 5));
            row.int(Column::Timestamp, at);
            row.str(Column::TraceId, &format!("trace-{}", n % 11));
            row.str(Column::SessionId, &format!("session-{}", n % 4));
            row.str(Column::ServiceName, owner);
            row.json(Column::Attributes, &format!(r#"{{"n":{n}}}"#));
        });
    }
    Arc::new(builder.finish().expect("rows"))
}

/// One shard: what is in it, what was trimmed.
#[derive(Debug, Default)]
struct Hot {
    blocks: Mutex<Vec<(Seq, Arc<EventBatch>)>>,
    trimmed: Mutex<Option<Seq>>,
    pages: AtomicUsize,
    /// Done once, when a page is asked for: what happens under a running query.
    meanwhile: tokio::sync::Mutex<Option<(Arc<Hot>, Lake, Seq)>>,
}

impl Hot {
    fn push(&self, batch: Arc<EventBatch>) {
        let first = self.tail();
        self.blocks.lock().expect("not poisoned").push((first, batch));
    }

    fn tail(&self) -> Seq {
        let blocks = self.blocks.lock().expect("not poisoned");
        blocks.last().map_or(Seq::FIRST, |(first, batch)| first.advanced_by(batch.header().rows))
    }

    fn first(&self) -> Seq {
        self.trimmed.lock().expect("not poisoned").unwrap_or(Seq::FIRST)
    }
}

#[async_trait]
impl HotTier for Hot {
    async fn tails(&self, _: &TenantId, _: Option<&str>) -> Result<Vec<HotRange>, HotTierError> {
        Ok(vec![HotRange { shard: SHARD, trimmed: self.first(), to: self.tail() }])
    }

    async fn page(&self, shard: ShardId, request: &HotRequest) -> Result<HotPage, HotTierError> {
        self.pages.fetch_add(1, Ordering::Relaxed);
        if let Some((hot, lake, to)) = self.meanwhile.lock().await.take() {
            archive(&hot, &lake, to).await;
            *self.trimmed.lock().expect("not poisoned") = Some(to);
        }
        if request.from_seq < self.first() {
            return Err(HotTierError::Trimmed { shard, first: self.first() });
        }
        let blocks = self.blocks.lock().expect("not poisoned");
        let next = blocks.iter().find(|(first, batch)| first.advanced_by(batch.header().rows) > request.from_seq);
        let Some((first, batch)) = next else { return Ok(HotPage { blocks: Vec::new(), next: request.to_seq_exclusive }) };
        let mine = *batch.tenant() == request.tenant;
        let next = first.advanced_by(batch.header().rows).min(request.to_seq_exclusive);
        Ok(HotPage { blocks: if mine { vec![(*first, Arc::clone(batch))] } else { Vec::new() }, next })
    }

    async fn heads(&self, shard: ShardId, request: &HotRequest) -> Result<Vec<HotHead>, HotTierError> {
        if request.from_seq < self.first() {
            return Err(HotTierError::Trimmed { shard, first: self.first() });
        }
        let inside = |first: &Seq, rows| first.advanced_by(rows) > request.from_seq && *first < request.to_seq_exclusive;
        let blocks = self.blocks.lock().expect("not poisoned");
        let mine = blocks.iter().filter(|(first, batch)| *batch.tenant() == request.tenant && inside(first, batch.header().rows));
        let head = |(first, batch): &(Seq, Arc<EventBatch>)| HotHead {
            first_seq: *first,
            rows: batch.header().rows,
            event_types: batch.header().event_types,
        };
        Ok(mine.map(head).collect())
    }

    fn is_here(&self, _: ShardId) -> bool {
        true
    }

    async fn states(&self, _: ShardId, _: &PeerPartial) -> Result<PeerStates, HotTierError> {
        unreachable!("everything is here")
    }
}

/// Commits everything below `to` that the lake does not have.
async fn archive(hot: &Hot, lake: &Lake, to: Seq) {
    let from = lake.watermark().await.expect("reads").get(&SHARD).copied().unwrap_or(Seq::FIRST);
    let blocks = hot.blocks.lock().expect("not poisoned").clone();
    let rows = Rows { shard: SHARD, from_seq: from, to_seq: to, blocks };
    let files = lake.write(&rows, Epoch(1)).await.expect("writes");
    let range = StagedRange { shard: SHARD, from_seq: from, to_seq: to, files };
    let request = CommitRequest { ranges: vec![range], replayed: Staged::default(), epoch: Epoch(1), commit_id: Uuid::now_v7() };
    lake.commit(&request).await.expect("commits");
}

struct World {
    hot: Arc<Hot>,
    lake: Lake,
    engine: Engine,
    _dir: tempfile::TempDir,
}

async fn world(limits: Limits) -> World {
    let dir = tempfile::tempdir().expect("a folder");
    let warehouse = format!("file://{}/warehouse", dir.path().display());
    let path = dir.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, "watershed", &warehouse, storage::local()).await.expect("opens");
    let lake = Lake::open(Arc::new(catalog)).await.expect("opens");
    let hot = Arc::new(Hot::default());
    let engine = Engine::new(Arc::clone(&hot) as Arc<dyn HotTier>, Some(Arc::new(lake.clone())), limits);
    World { hot, lake, engine, _dir: dir }
}

const LIMITS: Limits = Limits { deadline: Duration::from_secs(60), memory_bytes: 256 << 20, rows_max: 1_000_000 };

impl World {
    async fn rows(&self, owner: &str, sql: &str) -> Result<Vec<RecordBatch>, QueryError> {
        self.engine.sql(&tenant(owner), sql, None).await?.batches.try_collect().await
    }

    async fn texts(&self, owner: &str, sql: &str) -> Vec<String> {
        let rows = self.rows(owner, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.iter()
            .flat_map(|batch| batch.column(0).as_string::<i32>().iter().map(|text| text.unwrap_or("-").to_owned()))
            .collect()
    }

    async fn count(&self, owner: &str, sql: &str) -> i64 {
        let rows = self.rows(owner, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.iter().map(|batch| batch.column(0).as_primitive::<Int64Type>().iter().flatten().sum::<i64>()).sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seam_has_no_gap_and_no_duplicate() {
    let world = world(LIMITS).await;
    world.hot.push(batch("a", 0..100));
    world.hot.push(batch("b", 0..50));
    world.hot.push(batch("a", 100..200));
    let all = "SELECT id FROM events ORDER BY _seq";
    let expected: Vec<String> = (0..200).map(|n| format!("a-{n}")).collect();
    assert_eq!(world.texts("a", all).await, expected);
    for to in [1, 40, 100, 130, 199, 250] {
        archive(&world.hot, &world.lake, Seq(to + 1)).await;
        assert_eq!(world.texts("a", all).await, expected, "archived below {to}");
        assert_eq!(world.count("a", "SELECT count(*) FROM events").await, 200);
        let tiers = world.count("a", "SELECT count(*) FROM events WHERE _tier = 'lake' OR _tier = 'hot'").await;
        assert_eq!(tiers, 200);
    }
    assert_eq!(world.count("a", "SELECT count(*) FROM events WHERE _tier = 'hot'").await, 0);
    assert_eq!(world.count("b", "SELECT count(*) FROM events").await, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_trimmed_under_a_query_are_found_in_the_lake() {
    let world = world(LIMITS).await;
    world.hot.push(batch("a", 0..100));
    *world.hot.meanwhile.lock().await = Some((Arc::clone(&world.hot), world.lake.clone(), Seq(61)));
    let ids = world.texts("a", "SELECT id FROM events ORDER BY _seq").await;
    assert_eq!(ids, (0..100).map(|n| format!("a-{n}")).collect::<Vec<_>>());
    assert_eq!(world.hot.first(), Seq(61), "it did happen");
}

/// WHERE clauses that are pushed down, and the same in a form that cannot be.
const CLAUSES: &[(&str, &str)] = &[
    ("event_type = 'log'", "concat(event_type, '') = 'log'"),
    ("event_type IN ('log', 'trace') AND trace_id = 'trace-3'", "concat(event_type, trace_id) IN ('logtrace-3', 'tracetrace-3')"),
    ("session_id = 'session-1'", "concat(session_id, '') = 'session-1'"),
    (
        "trace_id IN ('trace-1', 'trace-2') OR event_name = 'name 1'",
        "concat(trace_id, '') IN ('trace-1', 'trace-2') OR concat(event_name, '') = 'name 1'",
    ),
    (
        "timestamp >= '1970-01-01T12:00:00Z' AND timestamp < '1970-01-01T20:00:00Z'",
        "extract(epoch FROM timestamp) >= 43200 AND extract(epoch FROM timestamp) < 72000",
    ),
    ("timestamp <= '1970-01-01T12:00:00Z'", "extract(epoch FROM timestamp) <= 43200"),
    ("'1970-01-01T12:00:00Z' < timestamp", "extract(epoch FROM timestamp) > 43200"),
    ("event_name = 'name 2' AND session_id = 'session-1'", "concat(event_name, session_id) = 'name 2session-1'"),
    ("event_name IN ('name 1', 'name 3')", "concat(event_name, '') IN ('name 1', 'name 3')"),
    ("event_type <> 'log'", "concat(event_type, '') <> 'log'"),
    ("event_type = 'nonsense'", "concat(event_type, '') = 'nonsense'"),
    ("_tier = 'lake' AND event_type = 'log'", "concat(_tier, event_type) = 'lakelog'"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_down_changes_no_result() {
    let world = world(LIMITS).await;
    world.hot.push(batch("a", 0..150));
    world.hot.push(batch("a", 150..300));
    archive(&world.hot, &world.lake, Seq(200)).await;
    for (pushed, oracle) in CLAUSES {
        let of = |clause: &str| format!("SELECT id FROM events WHERE {clause} ORDER BY id");
        assert_eq!(world.texts("a", &of(pushed)).await, world.texts("a", &of(oracle)).await, "{pushed}");
    }
}

/// A batch of one type only.
fn of_one_type(owner: &str, kind: &str, rows: u64) -> Arc<EventBatch> {
    let mut builder = BatchBuilder::new(tenant(owner), 1024);
    for n in 0..rows {
        builder.row(None, |row| {
            row.str(Column::Id, &format!("{kind}-{n}"));
            row.str(Column::Ns, owner);
            row.str(Column::EventType, kind);
            row.str(Column::EventName, "n");
            row.int(Column::Timestamp, HOUR_US);
        });
    }
    Arc::new(builder.finish().expect("rows"))
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_from_headers_are_those_of_the_rows() {
    let world = world(LIMITS).await;
    for (kind, rows) in [("log", 30), ("trace", 40), ("log", 5)] {
        world.hot.push(of_one_type("a", kind, rows));
    }
    world.hot.push(of_one_type("b", "log", 7));
    for to in [1, 12, 70, 83] {
        archive(&world.hot, &world.lake, Seq(to)).await;
        let pages = world.hot.pages.load(Ordering::Relaxed);
        let count = async |clause: &str| world.count("a", &format!("SELECT count(*) FROM events {clause}")).await;
        assert_eq!(count("").await, 75, "archived below {to}");
        assert_eq!((count("WHERE event_type = 'log'").await, count("WHERE ns = 'a'").await), (35, 75));
        assert_eq!((count("WHERE ns <> 'a'").await, count("WHERE _seq >= 40 AND _shard = 0").await), (0, 36));
        assert_eq!(world.count("a", "SELECT count(DISTINCT _seq) FROM events").await, 75);
        assert_eq!(world.hot.pages.load(Ordering::Relaxed), pages, "no batch was opened");
    }
    world.hot.push(batch("a", 0..30));
    assert_eq!(world.count("a", "SELECT count(*) FROM events WHERE event_type = 'metric'").await, 10, "mixed: opened");
    assert_eq!(world.count("a", "SELECT count(*) FROM events").await, 105);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_rows_are_out_of_reach_in_every_form() {
    let world = world(LIMITS).await;
    world.hot.push(batch("a", 0..40));
    world.hot.push(batch("b", 0..40));
    archive(&world.hot, &world.lake, Seq(61)).await;
    let tables = ["events", "\"events\"", "public.events", "datafusion.public.events", "EVENTS"];
    let forms = [
        "SELECT id FROM {t}",
        "SELECT id FROM {t} WHERE ns = 'b' OR true",
        "SELECT id FROM (SELECT * FROM {t}) x",
        "WITH events2 AS (SELECT * FROM {t}) SELECT id FROM events2",
        "SELECT id FROM {t} UNION ALL SELECT id FROM {t} WHERE ns <> 'a'",
        "SELECT y.id FROM {t} x JOIN {t} y ON x.session_id = y.session_id",
        "SELECT y.id FROM {t} x FULL OUTER JOIN {t} y ON y.ns = 'b'",
        "SELECT id FROM {t} x WHERE EXISTS (SELECT 1 FROM {t} y WHERE y.ns = 'b' OR y.ns = x.ns)",
        "SELECT first_value(id) OVER (PARTITION BY session_id ORDER BY ns DESC) FROM {t}",
        "SELECT max(id) FROM {t}",
        "SELECT (SELECT max(id) FROM {t})",
        "SELECT id FROM {t} AS \"events\" ORDER BY ns DESC LIMIT 5",
        "SELECT ns || id FROM {t} EXCEPT SELECT id FROM {t}",
    ];
    for form in forms {
        for table in tables {
            let sql = form.replace("{t}", table);
            let found = world.texts("a", &sql).await;
            assert!(!found.is_empty(), "{sql}");
            assert!(found.iter().all(|id| id.contains("a-") && !id.contains("b-") || id == "-"), "{sql}: {found:?}");
        }
    }
    assert_eq!(world.count("nobody", "SELECT count(*) FROM events").await, 0);
    assert!(world.engine.trace(&tenant("nobody"), "trace-3").await.expect("reads").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_whole_and_in_order() {
    let world = world(LIMITS).await;
    world.hot.push(batch("a", 0..100));
    archive(&world.hot, &world.lake, Seq(51)).await;
    let trace = world.engine.trace(&tenant("a"), "trace-3").await.expect("reads");
    let ids: Vec<_> = trace.iter().map(|event| event.id.clone().expect("an id")).collect();
    assert_eq!(ids, (0..100).filter(|n| n % 11 == 3).map(|n| format!("a-{n}")).collect::<Vec<_>>());
    assert_eq!(world.engine.session(&tenant("a"), "session-1").await.expect("reads").len(), 25);
}

/// What a tenant sees of the events `0..200` that were pushed for it: SQL, lookups and history tell each once.
async fn expect_each_once(world: &World, owner: &str) {
    let expected: Vec<String> = (0..200).map(|n| format!("{owner}-{n}")).collect();
    assert_eq!(world.texts(owner, "SELECT id FROM events ORDER BY _seq").await, expected);
    let trace = world.engine.trace(&tenant(owner), "trace-3").await.expect("reads");
    assert_eq!(trace.len(), (0..200).filter(|n| n % 11 == 3).count());
    let wanted = ShardRows { tenant: tenant(owner), shard: SHARD, from: Seq::FIRST, to: world.hot.tail(), from_us: None };
    let mut history = world.engine.history(wanted.clone(), Vec::new()).await.expect("pins").expect("there is a lake");
    let (mut in_lake, mut at) = (0, Seq::FIRST);
    while let Some(step) = history.next().await.expect("reads") {
        assert_eq!(step.from, at, "without a hole");
        (in_lake, at) = (in_lake + step.blocks.iter().map(|(_, batch)| batch.len()).sum::<usize>(), step.to);
    }
    let tier = world.count(owner, "SELECT count(*) FROM events WHERE _tier = 'lake'").await;
    assert_eq!(i64::try_from(in_lake).expect("small"), tier, "history tells what SQL reads of the lake");
    assert_eq!(world.engine.first_in_lake(wanted).await.expect("reads").is_some(), tier > 0);
}

/// A world whose hot tier has 200 events of each of two tenants, and the same lake with a table of `a`'s own.
async fn world_with_an_own_table() -> (World, Lake) {
    let world = world(LIMITS).await;
    for first in [0, 100] {
        world.hot.push(batch("a", first..first + 100));
        world.hot.push(batch("b", first..first + 100));
    }
    let listing = world.lake.clone().with_own_tables([tenant("a")]).await.expect("makes it");
    (world, listing)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_a_table_of_its_own_has_the_same_seam() {
    let _alone = fail::FailScenario::setup();
    let (world, listing) = world_with_an_own_table().await;
    // Listed, not listed, listed: the engine's lake lists nobody, it finds the table all the same.
    let stages = [(&world.lake, 31), (&listing, 61), (&world.lake, 231), (&listing, 401)];
    for (lake, to) in stages {
        archive(&world.hot, lake, Seq(to)).await;
        expect_each_once(&world, "a").await;
        assert_eq!(world.count("b", "SELECT count(DISTINCT _seq) FROM events").await, 200);
    }
    expect_each_once(&world, "b").await;
    let hot = "SELECT count(*) FROM events WHERE _tier = 'hot'";
    assert_eq!((world.count("a", hot).await, world.count("b", hot).await), (0, 0));
    assert_eq!(world.count("b", "SELECT count(*) FROM events WHERE ns = 'a' OR id LIKE 'a-%'").await, 0);
    let own = listing.table("events_a").await.expect("there").pin().await.expect("pins").snapshot_id.expect("one");
    let past = format!("SELECT count(*) FROM events_at({own})");
    assert_eq!(world.count("a", &past).await, 200);
    let refused = world.rows("b", &past).await.expect_err("it is another's").to_string();
    assert!(refused.contains("no snapshot"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_stands_between_two_tables_is_seen_once() {
    assert!(fail::has_failpoints(), "build with --features watershed-cli/failpoints");
    let _alone = fail::FailScenario::setup();
    let (world, listing) = world_with_an_own_table().await;
    archive(&world.hot, &listing, Seq(121)).await;
    fail::cfg("lake::between_tables", "return").expect("a fail point");
    let (hot, lake) = (Arc::clone(&world.hot), listing.clone());
    tokio::spawn(async move { archive(&hot, &lake, Seq(351)).await }).await.expect_err("ends between the tables");
    fail::remove("lake::between_tables");
    let lake = "SELECT count(*) FROM events WHERE _tier = 'lake'";
    assert_eq!((world.count("a", lake).await, world.count("b", lake).await), (200, 20), "it does stand there");
    for owner in ["a", "b"] {
        expect_each_once(&world, owner).await;
    }
    // What was staged is committed again, then what came after it.
    for to in [351, 401] {
        archive(&world.hot, &listing, Seq(to)).await;
    }
    for owner in ["a", "b"] {
        expect_each_once(&world, owner).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_errors_and_never_silent_cuts() {
    let few = world(Limits { rows_max: 10, ..LIMITS }).await;
    few.hot.push(batch("a", 0..11));
    let error = few.rows("a", "SELECT id FROM events").await.expect_err("too long");
    assert!(matches!(error, QueryError::TooManyRows { limit: 10 }), "{error}");
    assert_eq!(few.texts("a", "SELECT id FROM events LIMIT 10").await.len(), 10);

    let small = world(Limits { memory_bytes: 200_000, ..LIMITS }).await;
    (0..20).for_each(|step| small.hot.push(batch("a", step * 1000..(step + 1) * 1000)));
    let error = small.rows("a", "SELECT id, attributes FROM events ORDER BY id DESC").await.expect_err("too big");
    assert!(matches!(error, QueryError::Memory { limit: 200_000, .. }), "{error}");

    let slow = small.engine.sql(&tenant("a"), "SELECT count(*) FROM events x, events y, events z", Some(Duration::ZERO)).await;
    assert_eq!(slow.err().expect("too slow").kind(), ErrorKind::DeadlineExceeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_sql_is_the_callers_and_named() {
    let world = world(LIMITS).await;
    world.hot.push(batch("a", 0..3));
    let cases = BTreeMap::from([
        ("SELECT nonsense FROM events", "nonsense"),
        ("SELECT * FROM other", "other"),
        ("SELECT * FROM information_schema.tables", "information_schema"),
        ("SELECT * FROM '/etc/passwd'", "/etc/passwd"),
        ("SELEC 1", "SELEC"),
        ("SELECT nofunction(id) FROM events", "nofunction"),
        ("SELECT 1; SELECT 2", "more than one"),
        ("DROP TABLE events", "refused"),
    ]);
    for (sql, word) in cases {
        let error = world.rows("a", sql).await.expect_err(sql);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{sql}: {error}");
        assert!(error.to_string().contains(word), "{sql}: {error}");
    }
}
