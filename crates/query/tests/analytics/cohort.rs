//! Cohorts against the semantics, by another calendar.

use std::collections::BTreeSet;

use watershed_schema::proto;

use crate::sets::cohort::{expected, random_events, random_request, step, told};
use crate::sets::random::Random;
use crate::world::{DAY_US, DAY0_US, Event, HOUR_US, LIMITS, World, event, tenant, world};

/// What the random sets held: active or not, incomplete or not.
type Seen = BTreeSet<(bool, bool)>;

async fn check(world: &World, owner: &str, events: &[Event], random: &mut Random, seen: &mut Seen) {
    let request = random_request(random);
    let now_us = DAY0_US + 30 * DAY_US + i64::try_from(random.below(24)).expect("small") * HOUR_US;
    let answer = world.engine.cohort(&tenant(owner), &request, now_us).await.expect("an answer");
    let wanted = expected(events, &request, now_us);
    assert_eq!(told(&answer), wanted, "{owner}, {request:?}, {events:#?}");
    seen.extend(wanted.iter().flat_map(|(_, _, entries)| entries).map(|(active, incomplete)| (*active > 0, *incomplete)));
}

#[tokio::test(flavor = "multi_thread")]
async fn random_cohorts_are_those_of_the_oracle() {
    let world = world(LIMITS).await;
    let (mut seen, hours) = (Seen::new(), (-20 * 24..70 * 24).collect::<Vec<i64>>());
    for seed in 0..200 {
        let mut random = Random(seed + 1_000);
        let events = random_events(&mut random, &hours, "");
        world.push(&format!("t{seed}"), &events);
        check(&world, &format!("t{seed}"), &events, &mut random, &mut seen).await;
    }
    assert_eq!(seen.len(), 4, "active or not, complete or not: all were there");
}

/// All sets together, each with actors of its own, at the edges of days, weeks and months.
#[tokio::test(flavor = "multi_thread")]
async fn random_cohorts_split_between_hot_and_lake_are_those_of_the_oracle() {
    let world = world(LIMITS).await;
    let (mut seen, mut random) = (Seen::new(), Random(8));
    let hours = [-73, -72, -49, -48, -1, 0, 24, 5 * 24, 28 * 24 - 1];
    let events: Vec<Event> = (0..200).flat_map(|set| random_events(&mut random, &hours, &format!("{set}-"))).collect();
    world.push("all", &events);
    for (part, requests) in [(0.6, 14), (1.0, 6)] {
        world.archive(part).await;
        for _ in 0..requests {
            check(&world, "all", &events, &mut random, &mut seen).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_cuts_periods_short_and_says_so() {
    let world = world(LIMITS).await;
    world.push("shop", &[event(DAY0_US, "signup", "A"), event(DAY0_US + DAY_US, "login", "A")]);
    let request = proto::CohortRequest {
        anchor: step("signup"),
        activity: step("login"),
        periods: 3,
        granularity: "day".to_owned(),
        to: "2026-03-05T12:00:00Z".to_owned(),
        ..Default::default()
    };
    let answer = world.engine.cohort(&tenant("shop"), &request, DAY0_US + 30 * DAY_US).await.expect("an answer");
    assert_eq!(told(&answer), [(DAY0_US, 1, vec![(0, false), (1, true), (0, true)])]);
}
