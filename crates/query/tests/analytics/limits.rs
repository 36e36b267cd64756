//! Refusals name the field, too much is refused and not cut, nobody works for a caller who left.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use watershed_query::{ErrorKind, Limits, Progress, QueryError};
use watershed_schema::proto;

use crate::world::{DAY0_US, Event, LIMITS, World, event, tenant, world};

fn step(event: &str) -> proto::EventStep {
    proto::EventStep { event: event.to_owned(), filters: Vec::new() }
}

fn track() -> proto::TrackRequest {
    proto::TrackRequest { event: "a".to_owned(), ..Default::default() }
}

fn funnel() -> proto::FunnelRequest {
    proto::FunnelRequest { steps: vec![step("a"), step("b")], within: "1h".to_owned(), ..Default::default() }
}

async fn refused_track(world: &World, change: impl FnOnce(&mut proto::TrackRequest)) -> QueryError {
    let mut request = track();
    change(&mut request);
    world.engine.track(&tenant("shop"), &request, DAY0_US).await.expect_err("refused")
}

fn says(error: &QueryError, field: &str, word: &str) {
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    let text = error.to_string();
    assert!(text.starts_with(&format!("{field}: ")) && text.contains(word), "{field}, {word}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_count_names_field_and_limit() {
    let world = world(LIMITS).await;
    world.push("shop", &[event(DAY0_US, "a", "A")]);
    says(&refused_track(&world, |track| track.event = "x".repeat(1025)).await, "event", "1024");
    says(&refused_track(&world, |track| track.aggregate = "mode".into()).await, "aggregate", "count_distinct");
    says(&refused_track(&world, |track| track.aggregate = "sum".into()).await, "field", "missing");
    says(&refused_track(&world, |track| track.field = "properties.x".into()).await, "field", "count");
    says(
        &refused_track(&world, |track| (track.aggregate, track.field) = ("sum".into(), "nonsense".into())).await,
        "field",
        "properties",
    );
    says(
        &refused_track(&world, |track| (track.aggregate, track.field) = ("sum".into(), "event_name".into())).await,
        "field",
        "numbers",
    );
    says(&refused_track(&world, |track| track.q = 1.5).await, "q", "0 and 1");
    says(&refused_track(&world, |track| track.by = "labels.x".into()).await, "by", "traits");
    says(&refused_track(&world, |track| track.by = "properties.".into()).await, "by", "path");
    says(&refused_track(&world, |track| track.every = "year".into()).await, "every", "month");
    says(&refused_track(&world, |track| track.since = "7 days".into()).await, "since", "7d");
    says(&refused_track(&world, |track| track.from = "yesterday".into()).await, "from", "RFC 3339");
    says(
        &refused_track(&world, |track| (track.since, track.to) = ("7d".into(), "2026-03-04T00:00:00Z".into())).await,
        "since",
        "only one",
    );
    let backwards = |track: &mut proto::TrackRequest| {
        (track.from, track.to) = ("2026-03-04T00:00:00Z".into(), "2026-03-03T00:00:00Z".into());
    };
    says(&refused_track(&world, backwards).await, "to", "before");
    let long = |track: &mut proto::TrackRequest| (track.every, track.since) = ("minute".into(), "1y".into());
    says(&refused_track(&world, long).await, "every", "100000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_is_an_expression_over_the_tenants_events() {
    let world = world(LIMITS).await;
    world.push("shop", &[event(DAY0_US, "a", "A")]);
    world.push("other", &[event(DAY0_US, "a", "B"), event(DAY0_US, "a", "C")]);
    let cases = [
        ("nonsense = 1", "nonsense"),
        ("event_name IN (SELECT event_name FROM events)", "not allowed"),
        ("count(*) > 1", "aggregate"),
        ("timestamp", "true or false"),
        ("event_name = 'a'; SELECT 1", "end of expression"),
        ("event_name = 'a') OR (true", "end of expression"),
        ("", "expression"),
    ];
    for (filter, word) in cases {
        says(&refused_track(&world, |track| track.filters = vec![filter.to_owned()]).await, "filters", word);
    }
    says(&refused_track(&world, |track| track.filters = vec!["true".into(); 33]).await, "filters", "32");
    says(&refused_track(&world, |track| track.filters = vec![" ".repeat(17 << 10)]).await, "filters", "16384");
    for filter in ["true", "ns = 'other' OR true", "1 = 1 OR event_name = 'b'"] {
        let request = proto::TrackRequest { filters: vec![filter.to_owned()], ..track() };
        let answer = world.engine.track(&tenant("shop"), &request, DAY0_US).await.expect("an answer");
        assert_eq!(answer.points[0].value, Some(1.0), "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_funnels_cohorts_and_ratios_name_the_field() {
    let world = world(LIMITS).await;
    let shop = tenant("shop");
    let funnels: Vec<(proto::FunnelRequest, &str, &str)> = vec![
        (proto::FunnelRequest { steps: Vec::new(), ..funnel() }, "steps", "1 to 32"),
        (proto::FunnelRequest { steps: vec![step("a"); 33], ..funnel() }, "steps", "1 to 32"),
        (proto::FunnelRequest { steps: vec![step("a"), step("")], ..funnel() }, "steps[1].event", "missing"),
        (proto::FunnelRequest { within: String::new(), ..funnel() }, "within", "duration"),
        (proto::FunnelRequest { window: "last".into(), ..funnel() }, "window", "step"),
        (proto::FunnelRequest { mode: "any".into(), ..funnel() }, "mode", "strict_increase"),
        (proto::FunnelRequest { actor: "nobody".into(), ..funnel() }, "actor", "column"),
    ];
    for (request, field, word) in funnels {
        says(&world.engine.funnel(&shop, &request, DAY0_US).await.expect_err("refused"), field, word);
    }
    let cohort = proto::CohortRequest { anchor: Some(step("a")), activity: Some(step("b")), periods: 3, ..Default::default() };
    let cohorts: Vec<(proto::CohortRequest, &str, &str)> = vec![
        (proto::CohortRequest { anchor: None, ..cohort.clone() }, "anchor", "missing"),
        (proto::CohortRequest { periods: 0, ..cohort.clone() }, "periods", "366"),
        (proto::CohortRequest { periods: 367, ..cohort.clone() }, "periods", "366"),
        (proto::CohortRequest { granularity: "hour".into(), ..cohort }, "granularity", "day, week, month"),
    ];
    for (request, field, word) in cohorts {
        says(&world.engine.cohort(&shop, &request, DAY0_US).await.expect_err("refused"), field, word);
    }
    let ratio = proto::RatioRequest { a: Some(step("a")), b: Some(step("")), ..Default::default() };
    says(&world.engine.ratio(&shop, &ratio, DAY0_US).await.expect_err("refused"), "b.event", "missing");
}

fn many(actors: usize) -> Vec<Event> {
    (0..actors).flat_map(|n| ["a", "b"].map(|name| event(DAY0_US + n as i64, name, &format!("actor-{n}")))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn more_memory_than_there_is_is_refused() {
    let world = world(Limits { memory_bytes: 3_000_000, ..LIMITS }).await;
    world.push("few", &many(100));
    world.push("shop", &many(40_000));
    let few = world.engine.funnel(&tenant("few"), &funnel(), DAY0_US).await.expect("fits");
    assert_eq!(few.groups[0].steps[1].actors, 100);
    for part in [0.0, 1.0] {
        world.archive(part).await;
        let error = world.engine.funnel(&tenant("shop"), &funnel(), DAY0_US).await.expect_err("too big");
        assert!(matches!(error, QueryError::Memory { limit: 3_000_000, .. }), "{error}");
    }
    let sql = "SELECT window_funnel('1h', timestamp, _shard, _seq, true) FROM events";
    let error = world.sql("shop", sql).await.expect_err("too big without groups, too");
    assert!(matches!(error, QueryError::Memory { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_planned_is_read_in_the_end() {
    let world = world(LIMITS).await;
    world.push("shop", &many(500));
    world.archive(0.4).await;
    let progress = Progress::default();
    for question in [track(), proto::TrackRequest { by: "properties.plan".to_owned(), ..track() }] {
        let answer = world.engine.watched(progress.clone()).track(&tenant("shop"), &question, DAY0_US).await.expect("an answer");
        assert_eq!(answer.points[0].value, Some(500.0));
        let told = progress.so_far();
        assert_eq!((told.hot_events, told.hot_events_planned), (600, 600), "{told:?}");
        assert_eq!((told.lake_events, told.lake_events_planned), (400, 400), "{told:?}");
        assert!(told.lake_files > 0 && told.lake_files == told.lake_files_planned, "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_left_is_not_worked_for() {
    let world = world(LIMITS).await;
    world.push("shop", &many(20_000));
    let engine = world.engine.clone();
    let asked = tokio::spawn(async move { engine.funnel(&tenant("shop"), &funnel(), DAY0_US).await });
    let deadline = Instant::now() + Duration::from_secs(30);
    while world.hot.pages.load(Ordering::Relaxed) < 5 {
        assert!(Instant::now() < deadline, "the work never began");
        tokio::task::yield_now().await;
    }
    asked.abort();
    assert!(asked.await.expect_err("was dropped").is_cancelled());
    // What was under way ends; then nothing moves any more.
    let mut before = world.hot.pages.load(Ordering::Relaxed);
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_millis(300) {
        assert!(Instant::now() < deadline, "the work goes on");
        let now = world.hot.pages.load(Ordering::Relaxed);
        if now != before {
            (before, quiet) = (now, Instant::now());
        }
        tokio::task::yield_now().await;
    }
    assert!(before < 800, "{before} of 800 pages were read although nobody waits");
}
