//! Counts, sums and buckets against plain loops.

use watershed_schema::proto;

use crate::sets::random::Random;
use crate::sets::ratio;
use crate::sets::track::{expected, random_events, random_request, told};
use crate::world::{DAY_US, DAY0_US, Event, HOUR_US, LIMITS, World, event, tenant, world};

async fn check(world: &World, owner: &str, events: &[Event], random: &mut Random) {
    let (request, now_us) = (random_request(random), DAY0_US + 4 * DAY_US);
    let about = format!("{owner}, {request:?}, {events:#?}");
    let answer = world.engine.track(&tenant(owner), &request, now_us).await;
    let answer = answer.unwrap_or_else(|error| panic!("{error}: {about}"));
    assert_eq!(told(answer), expected(events, &request, now_us), "{about}");
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

#[tokio::test(flavor = "multi_thread")]
async fn random_ratios_are_those_of_plain_counts() {
    let world = world(LIMITS).await;
    for seed in 0..200 {
        let mut random = Random(seed + 6_000);
        let (owner, events) = (format!("t{seed}"), random_events(&mut random, &[0, 1]));
        if !events.is_empty() {
            world.push(&owner, &events);
        }
        let request = ratio::random_request(&mut random);
        let answer = world.engine.ratio(&tenant(&owner), &request, DAY0_US).await.expect("an answer");
        let wanted = ratio::expected(&events, &request);
        assert_eq!((answer.a, answer.b, answer.value), wanted, "{owner}, {request:?}, {events:#?}");
    }
}
