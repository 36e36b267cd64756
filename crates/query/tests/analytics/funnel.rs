//! Funnels: the worked example of the semantics, and 200 random sets of events.

use watershed_schema::proto;

use crate::sets::funnel::{compare, expected, random_events, random_request};
use crate::sets::random::Random;
use crate::world::{DAY0_US, Event, HOUR_US, LIMITS, MINUTE_US, World, event, tenant, world};

fn steps(names: &[&str]) -> Vec<proto::EventStep> {
    names.iter().map(|name| proto::EventStep { event: (*name).to_owned(), filters: Vec::new() }).collect()
}

async fn reached(world: &World, owner: &str, request: &proto::FunnelRequest) -> Vec<u64> {
    let answer = world.engine.funnel(&tenant(owner), request, DAY0_US).await.expect("an answer");
    assert_eq!(answer.groups.len(), 1);
    answer.groups[0].steps.iter().map(|step| step.actors).collect()
}

fn worked_example() -> Vec<Event> {
    let at = |minutes: i64| DAY0_US + minutes * MINUTE_US;
    vec![
        event(at(0), "Signup", "A"),
        event(at(10), "Activation", "A"),
        event(at(20), "Purchase", "A"),
        event(at(0), "Signup", "B"),
        event(at(5), "Purchase", "B"),
        event(at(30), "Activation", "B"),
        event(at(0), "Signup", "C"),
        event(at(120), "Signup", "C"),
        event(at(150), "Activation", "C"),
        event(at(210), "Purchase", "C"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worked_example() {
    let world = world(LIMITS).await;
    world.push("shop", &worked_example());
    let of = |within: &str, window: &str| proto::FunnelRequest {
        steps: steps(&["Signup", "Activation", "Purchase"]),
        within: within.to_owned(),
        window: window.to_owned(),
        ..Default::default()
    };
    for part in [0.0, 0.5, 1.0] {
        world.archive(part).await;
        assert_eq!(reached(&world, "shop", &of("1h", "")).await, [3, 3, 1], "within 1h, {part} archived");
        assert_eq!(reached(&world, "shop", &of("2h", "first")).await, [3, 3, 2], "within 2h, {part} archived");
        assert_eq!(reached(&world, "shop", &of("1h", "step")).await, [3, 3, 2], "each step within 1h, {part} archived");
    }
    let answer = world.engine.funnel(&tenant("shop"), &of("1h", ""), DAY0_US).await.expect("an answer");
    let step = |index: usize| &answer.groups[0].steps[index];
    assert_eq!((step(2).from_first, step(2).from_previous), (1.0 / 3.0, 1.0 / 3.0));
    assert_eq!((step(0).median_ms, step(1).median_ms, step(2).median_ms), (None, Some(1_800_000.0), Some(600_000.0)));
    let coverage = answer.coverage.expect("coverage");
    assert_eq!((coverage.hot_events, coverage.lake_events), (0, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn random_funnels_are_those_of_the_oracle() {
    let world = world(LIMITS).await;
    for seed in 0..200 {
        let mut random = Random(seed);
        let events = random_events(&mut random);
        let owner = format!("t{seed}");
        world.push(&owner, &events);
        let request = random_request(&mut random);
        let answer = world.engine.funnel(&tenant(&owner), &request, DAY0_US + HOUR_US).await.expect("an answer");
        compare(&answer, &expected(&events, &request), &format!("set {seed}, {request:?}, {events:#?}"));
    }
}

/// All sets together, each with actors of its own.
#[tokio::test(flavor = "multi_thread")]
async fn random_funnels_split_between_hot_and_lake_are_those_of_the_oracle() {
    let world = world(LIMITS).await;
    let mut random = Random(7);
    let named = |set: usize, name: Option<String>| name.map(|name| format!("{set}-{name}"));
    let mut events = Vec::new();
    for set in 0..200 {
        let of_set = random_events(&mut random).into_iter();
        events.extend(of_set.map(|event| Event {
            actor: named(set, event.actor),
            anonymous: named(set, event.anonymous),
            ..event
        }));
    }
    world.push("all", &events);
    for (part, requests) in [(0.4, 18), (1.0, 6)] {
        world.archive(part).await;
        for _ in 0..requests {
            let request = random_request(&mut random);
            let answer = world.engine.funnel(&tenant("all"), &request, DAY0_US + HOUR_US).await.expect("an answer");
            let coverage = answer.coverage.clone().expect("coverage");
            assert!(coverage.lake_events > 0 && (coverage.hot_events > 0) == (part < 1.0), "{coverage:?}");
            compare(&answer, &expected(&events, &request), &format!("{part} archived, {request:?}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_bound_the_funnel_and_actors_can_be_anything() {
    let world = world(LIMITS).await;
    world.push("shop", &worked_example());
    let of = proto::FunnelRequest { steps: steps(&["Signup", "Activation"]), within: "1h".to_owned(), ..Default::default() };
    let until = proto::FunnelRequest { to: "2026-03-04T00:30:00Z".to_owned(), ..of.clone() };
    assert_eq!(reached(&world, "shop", &until).await, [3, 2], "bounds are inclusive");
    let from = proto::FunnelRequest { from: "2026-03-04T02:00:00Z".to_owned(), ..of.clone() };
    assert_eq!(reached(&world, "shop", &from).await, [1, 1]);
    let by_name = proto::FunnelRequest { actor: "event_name".to_owned(), ..of.clone() };
    assert_eq!(reached(&world, "shop", &by_name).await, [1, 0]);
    let nobody = proto::FunnelRequest { actor: "session".to_owned(), ..of.clone() };
    assert_eq!(reached(&world, "shop", &nobody).await, [0, 0]);
    assert_eq!(reached(&world, "another", &of).await, [0, 0]);
}
