//! What is on other nodes is aggregated there, and read in pages where that cannot be; the answer is the same.

use std::sync::atomic::Ordering;

use watershed_query::QueryError;
use watershed_schema::proto;

use crate::world::{DAY0_US, Event, HOUR_US, LIMITS, MINUTE_US, SHARDS, World, event, tenant, world};

const EVENTS: i64 = 180;
/// Places of a slice: a shard has several.
const SLICE: u64 = 17;

fn events() -> Vec<Event> {
    let names = ["a", "b", "c"];
    let one = |n: i64| Event {
        shard: u16::try_from(n % i64::from(SHARDS)).expect("small"),
        ..event(DAY0_US + n * 17 * MINUTE_US, names[usize::try_from(n * n % 7 % 3).expect("small")], &format!("actor-{}", n % 11))
    };
    (0..EVENTS).map(one).collect()
}

fn step(event: &str) -> proto::EventStep {
    proto::EventStep { event: event.to_owned(), filters: Vec::new() }
}

/// Answers to every kind of question, as text.
async fn answers(world: &World) -> Result<Vec<String>, QueryError> {
    let (shop, now_us) = (tenant("shop"), DAY0_US + 100 * HOUR_US);
    let track = |aggregate: &str, field: &str, by: &str| proto::TrackRequest {
        aggregate: aggregate.to_owned(),
        field: field.to_owned(),
        by: by.to_owned(),
        every: "day".to_owned(),
        ..Default::default()
    };
    let mut answers = Vec::new();
    for request in [track("", "", ""), track("count_distinct", "actor_id", ""), track("max", "timestamp_ns", "event_name")] {
        answers.push(format!("{:?}", world.engine.track(&shop, &request, now_us).await?));
    }
    let steps = vec![step("a"), step("b"), step("c")];
    let funnel = proto::FunnelRequest { steps, within: "2d".to_owned(), by: "event_name".to_owned(), ..Default::default() };
    answers.push(format!("{:?}", world.engine.funnel(&shop, &funnel, now_us).await?));
    let (anchor, activity) = (Some(step("a")), Some(step("b")));
    let cohort = proto::CohortRequest { anchor, activity, granularity: "day".to_owned(), periods: 3, ..Default::default() };
    answers.push(format!("{:?}", world.engine.cohort(&shop, &cohort, now_us).await?));
    let ratio = proto::RatioRequest { a: Some(step("a")), b: Some(step("b")), ..Default::default() };
    answers.push(format!("{:?}", world.engine.ratio(&shop, &ratio, now_us).await?));
    Ok(answers)
}

/// What the node with the other shards does of it, if they are not here.
#[derive(Clone, Copy)]
struct Way {
    are_here: bool,
    slices_max: usize,
    is_of_another_form: bool,
}

const REMOTE: Way = Way { are_here: false, slices_max: usize::MAX, is_of_another_form: false };

async fn asked(world: &World, way: Way) -> (Vec<String>, usize) {
    world.hot.slices.store(0, Ordering::Relaxed);
    world.hot.are_here.store(way.are_here, Ordering::Relaxed);
    world.hot.slices_max.store(way.slices_max, Ordering::Relaxed);
    world.hot.is_of_another_form.store(way.is_of_another_form, Ordering::Relaxed);
    (answers(world).await.expect("answers"), world.hot.slices.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_has_is_aggregated_there_or_read_in_pages() {
    let world = world(LIMITS).await;
    world.push("shop", &events());
    world.hot.slice.store(SLICE, Ordering::Relaxed);
    for (archived, part) in [(0, 0.0), (EVENTS / 2, 0.5)] {
        world.archive(part).await;
        let (expected, asked_for) = asked(&world, Way { are_here: true, ..REMOTE }).await;
        assert_eq!(asked_for, 0, "everything is here");
        let (by_states, slices) = asked(&world, REMOTE).await;
        assert_eq!(by_states, expected, "{archived} events are in the lake");
        let remote = (EVENTS - archived).unsigned_abs() / u64::from(SHARDS) * u64::from(SHARDS - 1);
        let questions = expected.len();
        assert!(slices as u64 >= questions as u64 * remote / SLICE, "{slices} slices for {questions} questions");
        let once = questions * usize::from(SHARDS - 1);
        let (by_pages, refused) = asked(&world, Way { slices_max: 0, ..REMOTE }).await;
        assert_eq!((by_pages, refused), (expected.clone(), once), "each shard is asked for states once");
        let (of_another_form, refused) = asked(&world, Way { is_of_another_form: true, ..REMOTE }).await;
        assert_eq!((of_another_form, refused), (expected.clone(), once), "states of another form are not used");
        assert_eq!(asked(&world, Way { slices_max: 5, ..REMOTE }).await.0, expected, "it stops in the middle");
    }
}
