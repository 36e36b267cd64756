//! Random cohorts, and who comes back by another calendar.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate};
use watershed_schema::proto;

use super::event::{DAY_US, DAY0_US, Event, HOUR_US, SHARDS};
use super::random::Random;

pub(crate) fn step(event: &str) -> Option<proto::EventStep> {
    Some(proto::EventStep { event: event.to_owned(), filters: Vec::new() })
}

fn date(at_us: i64) -> NaiveDate {
    DateTime::from_timestamp_micros(at_us).expect("a time").date_naive()
}

fn micros(date: NaiveDate) -> i64 {
    date.and_hms_opt(0, 0, 0).expect("midnight").and_utc().timestamp_micros()
}

/// First day of the calendar period.
fn begin(granularity: &str, date: NaiveDate) -> NaiveDate {
    match granularity {
        "day" => date,
        "month" => date.with_day(1).expect("a day"),
        _ => date - Days::new(u64::from(date.weekday().num_days_from_monday())),
    }
}

/// First day of the period `k` later.
fn later(granularity: &str, begin: NaiveDate, k: u32) -> NaiveDate {
    match granularity {
        "day" => begin + Days::new(u64::from(k)),
        "month" => begin + Months::new(k),
        _ => begin + Days::new(7 * u64::from(k)),
    }
}

fn rolling_days(granularity: &str) -> i64 {
    match granularity {
        "day" => 1,
        "month" => 30,
        _ => 7,
    }
}

/// Start, actors, and for each period who was active and whether it is incomplete.
pub(crate) type Expected = Vec<(i64, u64, Vec<(u64, bool)>)>;

pub(crate) fn expected(events: &[Event], request: &proto::CohortRequest, now_us: i64) -> Expected {
    let (anchor, activity) = (&request.anchor.as_ref().expect("set").event, &request.activity.as_ref().expect("set").event);
    let grain = request.granularity.as_str();
    let mut first: BTreeMap<&str, i64> = BTreeMap::new();
    for event in events.iter().filter(|event| event.name == *anchor) {
        let actor = event.actor.as_deref().expect("all have one");
        let at = first.entry(actor).or_insert(event.at_us);
        *at = event.at_us.min(*at);
    }
    let mut cohorts: BTreeMap<NaiveDate, Vec<(&str, i64)>> = BTreeMap::new();
    for (actor, at_us) in first {
        cohorts.entry(begin(grain, date(at_us))).or_default().push((actor, at_us));
    }
    let entry = |start: NaiveDate, members: &[(&str, i64)], k: u32| {
        let window = |anchor_us: i64| {
            if request.rolling {
                let long = rolling_days(grain) * DAY_US;
                (anchor_us + i64::from(k) * long, anchor_us + i64::from(k + 1) * long)
            } else {
                (micros(later(grain, start, k)), micros(later(grain, start, k + 1)))
            }
        };
        let is_active = |(actor, anchor_us): &&(&str, i64)| {
            let (from, to) = window(*anchor_us);
            let active = |event: &Event| event.name == *activity && event.actor.as_deref() == Some(actor);
            events.iter().any(|event| active(event) && (from..to).contains(&event.at_us))
        };
        let active = members.iter().filter(is_active).count() as u64;
        (active, members.iter().any(|(_, anchor_us)| window(*anchor_us).1 > now_us))
    };
    let cohort = |(start, members): (NaiveDate, Vec<(&str, i64)>)| {
        let entries = (0..request.periods).map(|k| entry(start, &members, k)).collect();
        (micros(start), members.len() as u64, entries)
    };
    cohorts.into_iter().map(cohort).collect()
}

pub(crate) fn told(answer: &proto::CohortResponse) -> Expected {
    let one = |cohort: &proto::Cohort| {
        let start = DateTime::parse_from_rfc3339(&cohort.start).expect("a time").timestamp_micros();
        let share = |entry: &proto::CohortEntry| entry.actors as f64 / cohort.actors as f64;
        assert!(cohort.entries.iter().all(|entry| entry.share == share(entry)));
        (start, cohort.actors, cohort.entries.iter().map(|entry| (entry.actors, entry.incomplete)).collect())
    };
    answer.cohorts.iter().map(one).collect()
}

pub(crate) fn random_events(random: &mut Random, hours: &[i64], set: &str) -> Vec<Event> {
    let count = random.below(40) + 1;
    let one = |_| Event {
        at_us: DAY0_US + random.pick(hours) * HOUR_US,
        name: random.pick(&["signup", "login", "login", "other"]).to_owned(),
        actor: Some(format!("{set}{}", random.pick(&["A", "B", "C", "D", "E", "F"]))),
        shard: u16::try_from(random.below(u64::from(SHARDS))).expect("small"),
        ..Event::default()
    };
    (0..count).map(one).collect()
}

pub(crate) fn random_request(random: &mut Random) -> proto::CohortRequest {
    proto::CohortRequest {
        anchor: step("signup"),
        activity: step(random.pick(&["login", "login", "signup"])),
        periods: u32::try_from(random.below(9) + 1).expect("small"),
        granularity: random.pick(&["day", "week", "month", ""]).to_owned(),
        rolling: random.below(2) == 1,
        ..Default::default()
    }
}
