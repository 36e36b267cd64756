//! Random counts, sums and buckets, and what plain loops make of them.

use std::collections::BTreeMap;

use watershed_schema::proto;

use super::event::{DAY_US, DAY0_US, Event, HOUR_US, SHARDS};
use super::oracle::percentile;
use super::random::Random;

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

pub(super) fn text(event: &Event, key: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(event.properties.as_deref()?).expect("JSON");
    match &json[key] {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

pub(crate) fn random_events(random: &mut Random, half_hours: &[i64]) -> Vec<Event> {
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

pub(crate) fn random_request(random: &mut Random) -> proto::TrackRequest {
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
        _ => {
            let day = chrono::DateTime::from_timestamp_micros(at_us).expect("a time").date_naive();
            let first = chrono::Datelike::with_day(&day, 1).expect("every month has one");
            first.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros()
        }
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

/// Whether there is no group, the group, the bucket.
pub(crate) type Key = ((bool, Option<String>), Option<i64>);

pub(crate) fn expected(events: &[Event], request: &proto::TrackRequest, now_us: i64) -> Vec<(Key, Option<f64>)> {
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

/// An answer as [`expected`] spells it.
pub(crate) fn told(answer: proto::TrackResponse) -> Vec<(Key, Option<f64>)> {
    let time = |text: String| chrono::DateTime::parse_from_rfc3339(&text).expect("a time").timestamp_micros();
    let point = |point: proto::TrackPoint| (((point.group.is_none(), point.group), point.bucket.map(time)), point.value);
    answer.points.into_iter().map(point).collect()
}
