//! Random funnels, and how far actors get by the oracle.

use std::collections::BTreeMap;

use watershed_schema::proto;

use super::event::{DAY0_US, Event, MINUTE_US, SHARDS};
use super::oracle::{self, Rules};
use super::random::Random;

/// Few names, few actors and few different times, so that ties and repetitions are common.
pub(crate) fn random_events(random: &mut Random) -> Vec<Event> {
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

pub(crate) fn random_request(random: &mut Random) -> proto::FunnelRequest {
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
pub(crate) type Expected = BTreeMap<(bool, String), (Vec<u64>, Vec<Vec<f64>>)>;

pub(crate) fn expected(events: &[Event], request: &proto::FunnelRequest) -> Expected {
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

pub(crate) fn compare(answer: &proto::FunnelResponse, expected: &Expected, about: &str) {
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
