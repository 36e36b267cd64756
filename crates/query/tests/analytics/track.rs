//! Counts, sums and buckets against plain loops.

use std::collections::BTreeMap;

use watershed_schema::proto;

use crate::oracle::percentile;
use crate::random::Random;
use crate::world::{DAY_US, DAY0_US, Event, HOUR_US, LIMITS, SHARDS, World, event, tenant, world};

const VALUES: &[Option<&str>] = &[
    None,
    Some("{}"),
    Some(r#"{"v":0.25,"p":"x"}"#),
    Some(r#"{"v":0.5,"p":"y"}"#),
    Some(r#"{"v":-3e15,"p":"x"}"#),
    Some(r#"{"v":3e15,"p":null}"#),
    Some(r#"{"v":"12","p":"y"}"#),
    Some(r#"{"v":true,"p":7}"#),
    Some(r#"{"v":7,"p":"x"}"#),
];

fn value(event: &Event) -> Option<f64> {
    let json: serde_json::Value = serde_json::from_str(event.properties.as_deref()?).expect("JSON");
    json["v"].as_f64()
}

fn text(event: &Event, key: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(event.properties.as_deref()?).expect("JSON");
    match &json[key] {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn random_events(random: &mut Random, half_hours: &[i64]) -> Vec<Event> {
    let count = random.below(30);
    let one = |_| Event {
        at_us: DAY0_US + random.pick(half_hours) * HOUR_US / 2,
        name: random.pick(&["a", "b"]).to_owned(),
        actor: Some("A".to_owned()),
        shard: u16::try_from(random.below(u64::from(SHARDS))).expect("small"),
        properties: random.pick(VALUES).map(str::to_owned),
        ..Event::default()
    };
    (0..count).map(one).collect()
}

const AGGREGATES: &[&str] = &["", "count", "sum", "avg", "min", "max", "count_distinct", "percentile"];

fn random_request(random: &mut Random) -> proto::TrackRequest {
    let aggregate = random.pick(AGGREGATES);
    let has_field = !matches!(aggregate, "" | "count");
    proto::TrackRequest {
        event: random.pick(&["a", "a", ""]).to_owned(),
        aggregate: aggregate.to_owned(),
        field: if has_field { "properties.v".to_owned() } else { String::new() },
        q: if aggregate == "percentile" { random.pick(&[0.0, 0.25, 0.5, 0.9, 1.0]) } else { 0.0 },
        filters: random.pick(&[None, Some("json_get(properties, 'p') <> 'y'")]).map(str::to_owned).into_iter().collect(),
        by: random.pick(&["", "", "properties.p"]).to_owned(),
        every: random.pick(&["", "hour", "day", "week", "month"]).to_owned(),
        from: random.pick(&["", "2026-03-04T06:00:00Z"]).to_owned(),
        to: random.pick(&["", "2026-03-06T06:00:00Z"]).to_owned(),
        ..Default::default()
    }
}

/// Wednesday 2026-03-04 is in the week of Monday the 2nd.
fn bucket(every: &str, at_us: i64) -> i64 {
    match every {
        "hour" => at_us - at_us % HOUR_US,
        "day" => at_us - at_us % DAY_US,
        "week" => DAY0_US - 2 * DAY_US + (at_us - (DAY0_US - 2 * DAY_US)) / (7 * DAY_US) * (7 * DAY_US),
        _ => DAY0_US - 3 * DAY_US,
    }
}

fn folded(request: &proto::TrackRequest, events: &[&Event]) -> Option<f64> {
    let numbers: Vec<f64> = events.iter().filter_map(|event| value(event)).collect();
    // All of them are whole quarters: their sum is exact, and rounded once.
    #[expect(clippy::cast_possible_truncation, reason = "whole numbers far below 2^127")]
    let sum = numbers.iter().map(|value| (value * 4.0) as i128).sum::<i128>() as f64 / 4.0;
    match request.aggregate.as_str() {
        "sum" => Some(sum),
        "avg" => (!numbers.is_empty()).then(|| sum / numbers.len() as f64),
        "min" => numbers.iter().copied().reduce(f64::min),
        "max" => numbers.iter().copied().reduce(f64::max),
        "count_distinct" => {
            let texts: std::collections::BTreeSet<_> = events.iter().filter_map(|event| text(event, "v")).collect();
            let numbers: std::collections::BTreeSet<_> =
                texts.iter().map(|text| text.parse::<f64>().map_or(text.clone(), |number| number.to_string())).collect();
            Some(numbers.len() as f64)
        }
        "percentile" => percentile(numbers, request.q),
        _ => Some(events.len() as f64),
    }
}

type Key = ((bool, Option<String>), Option<i64>);

fn expected(events: &[Event], request: &proto::TrackRequest, now_us: i64) -> Vec<(Key, Option<f64>)> {
    let from_us = if request.from.is_empty() { i64::MIN } else { DAY0_US + 6 * HOUR_US };
    let to_us = if request.to.is_empty() { i64::MAX } else { DAY0_US + 54 * HOUR_US };
    let passes = |event: &&Event| {
        (request.event.is_empty() || event.name == request.event)
            && (request.filters.is_empty() || text(event, "p").is_some_and(|plan| plan != "y"))
            && (from_us..=to_us).contains(&event.at_us)
    };
    let mut groups: BTreeMap<(bool, Option<String>), Vec<&Event>> = BTreeMap::new();
    if request.by.is_empty() {
        groups.insert((true, None), Vec::new());
    }
    for event in events.iter().filter(passes) {
        let group = if request.by.is_empty() { None } else { text(event, "p") };
        groups.entry((group.is_none(), group)).or_default().push(event);
    }
    if request.every.is_empty() {
        return groups.into_iter().map(|(group, events)| ((group, None), folded(request, &events))).collect();
    }
    let all = || groups.values().flatten().map(|event| event.at_us);
    let first = all().chain((!request.from.is_empty()).then_some(from_us)).min();
    let last = match (request.from.is_empty(), request.to.is_empty()) {
        (_, false) => Some(to_us),
        (false, true) => all().chain([now_us]).max(),
        (true, true) => all().max(),
    };
    let Some((first, last)) = first.zip(last) else { return Vec::new() };
    let mut buckets: Vec<i64> = (0..)
        .map(|n| first + n * HOUR_US)
        .take_while(|at| *at <= last)
        .chain([last])
        .map(|at| bucket(&request.every, at))
        .collect();
    buckets.dedup();
    let mut out = Vec::new();
    for (group, events) in groups {
        for begin in &buckets {
            let inside: Vec<&Event> =
                events.iter().copied().filter(|event| bucket(&request.every, event.at_us) == *begin).collect();
            out.push(((group.clone(), Some(*begin)), folded(request, &inside)));
        }
    }
    out
}

async fn check(world: &World, owner: &str, events: &[Event], random: &mut Random) {
    let (request, now_us) = (random_request(random), DAY0_US + 4 * DAY_US);
    let about = format!("{owner}, {request:?}, {events:#?}");
    let answer = world.engine.track(&tenant(owner), &request, now_us).await;
    let answer = answer.unwrap_or_else(|error| panic!("{error}: {about}"));
    let time = |text: String| chrono::DateTime::parse_from_rfc3339(&text).expect("a time").timestamp_micros();
    let told =
        answer.points.into_iter().map(|point| (((point.group.is_none(), point.group), point.bucket.map(time)), point.value));
    assert_eq!(told.collect::<Vec<_>>(), expected(events, &request, now_us), "{about}");
}

#[tokio::test(flavor = "multi_thread")]
async fn random_counts_are_those_of_plain_loops() {
    let world = world(LIMITS).await;
    let half_hours: Vec<i64> = (0..24 * 6).collect();
    for seed in 0..200 {
        let mut random = Random(seed + 5_000);
        let events = random_events(&mut random, &half_hours);
        if !events.is_empty() {
            world.push(&format!("t{seed}"), &events);
        }
        check(&world, &format!("t{seed}"), &events, &mut random).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_counts_split_between_hot_and_lake_are_those_of_plain_loops() {
    let world = world(LIMITS).await;
    let mut random = Random(9);
    let half_hours = [0, 11, 12, 13, 47, 48, 108, 109];
    let events: Vec<Event> = (0..200).flat_map(|_| random_events(&mut random, &half_hours)).collect();
    world.push("all", &events);
    for (part, requests) in [(0.5, 24), (1.0, 8)] {
        world.archive(part).await;
        for _ in 0..requests {
            check(&world, "all", &events, &mut random).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_where_it_comes_from() {
    let world = world(LIMITS).await;
    let events: Vec<Event> = (0..20).map(|n| Event { shard: u16::from(n % 2 == 1), ..event(DAY0_US + n, "a", "A") }).collect();
    world.push("shop", &events);
    let request = proto::TrackRequest { event: "a".to_owned(), since: "1d".to_owned(), ..Default::default() };
    for (part, hot, lake) in [(0.0, 20, 0), (0.3, 14, 6), (1.0, 0, 20)] {
        world.archive(part).await;
        let answer = world.engine.track(&tenant("shop"), &request, DAY0_US + HOUR_US).await.expect("an answer");
        let coverage = answer.coverage.expect("coverage");
        assert_eq!((coverage.hot_events, coverage.lake_events), (hot, lake), "{part} archived");
        assert_eq!((coverage.complete_to.as_str(), coverage.from.as_str()), ("2026-03-04T01:00:00Z", "2026-03-03T01:00:00Z"));
        let below: Vec<_> = coverage.shards.iter().map(|shard| (shard.lake_below_seq, shard.hot_below_seq)).collect();
        assert_eq!(below, [(1 + lake / 2, 11), (1 + lake / 2, 11), (1, 1)], "{part} archived");
        assert_eq!(answer.points[0].value, Some(20.0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ratio_is_of_counts_and_0_of_nothing() {
    let world = world(LIMITS).await;
    world.push(
        "shop",
        &[event(DAY0_US, "buy", "A"), event(DAY0_US, "view", "A"), event(DAY0_US, "view", "B"), event(DAY0_US, "x", "B")],
    );
    let step = |name: &str| Some(proto::EventStep { event: name.to_owned(), filters: Vec::new() });
    for (a, b, wanted) in
        [("buy", "view", (1, 2, 0.5)), ("view", "buy", (2, 1, 2.0)), ("buy", "none", (1, 0, 0.0)), ("buy", "buy", (1, 1, 1.0))]
    {
        let request = proto::RatioRequest { a: step(a), b: step(b), ..Default::default() };
        let answer = world.engine.ratio(&tenant("shop"), &request, DAY0_US).await.expect("an answer");
        assert_eq!((answer.a, answer.b, answer.value), wanted, "{a} / {b}");
    }
}
