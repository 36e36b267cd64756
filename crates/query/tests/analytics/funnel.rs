//! Funnels: the worked example of the semantics, and 200 random sets of events.

use std::collections::BTreeMap;

use watershed_schema::proto;

use crate::oracle::{self, Rules};
use crate::random::Random;
use crate::world::{DAY0_US, Event, HOUR_US, LIMITS, MINUTE_US, SHARDS, World, event, tenant, world};

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

/// Few names, few actors and few different times, so that ties and repetitions are common.
fn random_events(random: &mut Random) -> Vec<Event> {
    let count = random.below(40) + 1;
    let one = |_| Event {
        at_us: DAY0_US + i64::try_from(random.below(13)).expect("small") * 10 * MINUTE_US,
        name: random.pick(&["a", "b", "c", "d"]).to_owned(),
        actor: random.pick(&[Some("A"), Some("B"), Some("C"), Some("D"), Some("E"), None]).map(str::to_owned),
        anonymous: random.pick(&[Some("A"), Some("x"), None]).map(str::to_owned),
        shard: u16::try_from(random.below(u64::from(SHARDS))).expect("small"),
        properties: random.pick(&[Some(r#"{"plan":"pro"}"#), Some(r#"{"plan":"free","n":1}"#), None]).map(str::to_owned),
    };
    (0..count).map(one).collect()
}

fn random_request(random: &mut Random) -> proto::FunnelRequest {
    let count = usize::try_from(random.below(4) + 1).expect("small");
    let step = |_| proto::EventStep {
        event: random.pick(&["a", "a", "b", "c"]).to_owned(),
        filters: random
            .pick(&[None, None, Some("json_get(properties, 'plan') = 'pro'")])
            .map(str::to_owned)
            .into_iter()
            .collect(),
    };
    proto::FunnelRequest {
        steps: (0..count).map(step).collect(),
        within: random.pick(&["0s", "10m", "30m", "1h", "3h"]).to_owned(),
        window: random.pick(&["", "first", "step"]).to_owned(),
        mode: random.pick(&["", "ordered", "strict_order", "strict_increase"]).to_owned(),
        by: random.pick(&["", "properties.plan"]).to_owned(),
        ..Default::default()
    }
}

fn plan_of(event: &Event) -> Option<&'static str> {
    let properties = event.properties.as_deref()?;
    Some(if properties.contains("pro\"") { "pro" } else { "free" })
}

fn satisfied(request: &proto::FunnelRequest, event: &Event) -> Vec<bool> {
    let is = |step: &proto::EventStep| step.event == event.name && (step.filters.is_empty() || plan_of(event) == Some("pro"));
    request.steps.iter().map(is).collect()
}

/// Actors at each step and the times between them, by group.
type Expected = BTreeMap<(bool, String), (Vec<u64>, Vec<Vec<f64>>)>;

fn expected(events: &[Event], request: &proto::FunnelRequest) -> Expected {
    let mode = ["strict_order", "strict_increase"].into_iter().find(|mode| request.mode == *mode).unwrap_or("ordered");
    let minutes = match request.within.as_str() {
        "0s" => 0,
        "10m" => 10,
        "30m" => 30,
        "1h" => 60,
        _ => 180,
    };
    let rules = Rules { within_us: minutes * MINUTE_US, from_step: request.window == "step", mode };
    let mut actors: BTreeMap<String, Vec<(Event, u64)>> = BTreeMap::new();
    for (seq, event) in events.iter().enumerate() {
        if let Some(actor) = event.actor.clone().or_else(|| event.anonymous.clone()) {
            actors.entry(actor).or_default().push((event.clone(), seq as u64));
        }
    }
    let nothing = || (vec![0; request.steps.len()], vec![Vec::new(); request.steps.len()]);
    let mut groups = Expected::new();
    if request.by.is_empty() {
        groups.insert((true, String::new()), nothing());
    }
    for events in actors.values() {
        let Some((times, first)) = oracle::best(events, rules, &|event| satisfied(request, event)) else { continue };
        let plan = if request.by.is_empty() { None } else { plan_of(&first) };
        let group = groups.entry((plan.is_none(), plan.unwrap_or_default().to_owned())).or_insert_with(nothing);
        (0..times.len()).for_each(|step| group.0[step] += 1);
        times.windows(2).enumerate().for_each(|(step, pair)| group.1[step + 1].push((pair[1] - pair[0]) as f64 / 1_000.0));
    }
    groups
}

fn compare(answer: &proto::FunnelResponse, expected: &Expected, about: &str) {
    let groups: Vec<_> =
        answer.groups.iter().map(|group| (group.group.is_none(), group.group.clone().unwrap_or_default())).collect();
    assert_eq!(groups, expected.keys().cloned().collect::<Vec<_>>(), "{about}");
    for (group, (actors, times)) in answer.groups.iter().zip(expected.values()) {
        let got: Vec<u64> = group.steps.iter().map(|step| step.actors).collect();
        assert_eq!(&got, actors, "{about}: {:?}", group.group);
        for (step, times) in group.steps.iter().zip(times) {
            let wanted = (oracle::percentile(times.clone(), 0.5), oracle::percentile(times.clone(), 0.9));
            assert_eq!((step.median_ms, step.p90_ms), wanted, "{about}: {:?}", group.group);
        }
    }
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
