//! Analytics of three nodes against the oracles: random sets of events, of a shard or spread over all, sent to and asked of
//! any node, one half in the lake and one hot.

#[path = "../../crates/query/tests/sets/sets.rs"]
mod sets;

use std::collections::BTreeMap;

use arrow::array::AsArray as _;
use arrow::datatypes::{Int32Type, Int64Type};
use chrono::DateTime;
use futures::StreamExt as _;
use futures::stream;
use watershed_client::{Client, Coverage};
use watershed_schema::{BatchBuilder, Column, EventBatch, TenantId};
use watershed_tests::cluster::Cluster;
use watershed_tests::{answered, number};

use sets::event::Event;
use sets::random::Random;
use sets::{cohort, funnel, ratio, track};

/// Sets of each kind and cluster, unless `ANALYTICS_SETS` says how many. 200 take two minutes.
const SETS: u64 = 8;
/// Sets that are dealt with at a time.
const AT_ONCE: usize = 8;
/// Events of a request: a set comes in several, through any node.
const PART: usize = 5;
/// Ends in the middle of a day, a week and a month.
const TO: &str = "2026-03-20T12:30:00Z";
/// One that has no events.
const NOBODY: &str = "nobody";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Funnel,
    Track,
    Cohort,
    Ratio,
}

const KINDS: [Kind; 4] = [Kind::Funnel, Kind::Track, Kind::Cohort, Kind::Ratio];

/// One tenant's events and what is asked of them.
struct Set {
    kind: Kind,
    owner: String,
    events: Vec<Event>,
    random: Random,
}

impl Set {
    fn new(kind: Kind, seed: u64) -> Self {
        let mut random = Random(seed * 4 + kind as u64);
        let half_hours: Vec<i64> = (0..24 * 6).collect();
        let hours: Vec<i64> = (-20 * 24..70 * 24).collect();
        let events = match kind {
            Kind::Funnel => funnel::random_events(&mut random),
            Kind::Track | Kind::Ratio => track::random_events(&mut random, &half_hours),
            Kind::Cohort => cohort::random_events(&mut random, &hours, ""),
        };
        Self { kind, owner: format!("{kind:?}-{seed}").to_lowercase(), events, random }
    }

    /// Events of these places, each in a trace of its own: that decides where it lies if its owner is spread.
    fn batch(&self, places: &[usize]) -> EventBatch {
        let mut batch = BatchBuilder::new(TenantId::new(&self.owner).expect("a name"), 1024);
        for place in places {
            batch.row(None, |row| {
                row.str(Column::Id, &place.to_string());
                row.str(Column::TraceId, &format!("{:032x}", place + 1));
                self.events[*place].write(row);
            });
        }
        batch.finish().expect("rows")
    }
}

/// Clients of all nodes.
struct Nodes(Vec<Client>);

impl Nodes {
    async fn of(cluster: &Cluster) -> Self {
        Self(futures::future::join_all(cluster.nodes.iter().flatten().map(|node| node.client())).await)
    }

    fn any(&self, set: &mut Set) -> Client {
        self.of_owner(usize::try_from(set.random.below(self.0.len() as u64)).expect("small"), &set.owner)
    }

    fn of_owner(&self, place: usize, owner: &str) -> Client {
        self.0[place].clone().with_tenant(owner).expect("a name")
    }

    async fn send(&self, set: &mut Set, half: usize) {
        let places: Vec<usize> = (0..set.events.len()).filter(|place| place % 2 == half).collect();
        for part in places.chunks(PART) {
            let (client, batch) = (self.any(set), set.batch(part));
            let sent = answered(async || client.publish(batch.clone()).await).await;
            assert_eq!((sent.rejected, sent.reasons), (0, Vec::new()));
        }
    }

    /// Everything that is committed goes into the lake: deleting what nobody has asks for that.
    async fn archive(&self) {
        let nobody = self.of_owner(0, NOBODY);
        let steps = answered(async || nobody.delete_rows(None).await).await;
        assert!(steps.iter().all(|step| step.failed.is_empty()), "{steps:?}");
    }

    /// The set's events in the order in which they lie; ties in time are broken by it.
    async fn stored(&self, set: &mut Set) -> Vec<Event> {
        let client = self.any(set);
        let rows = answered(async || client.query("SELECT id, _shard, _seq FROM events").await).await;
        let mut places = BTreeMap::new();
        for rows in &rows {
            let (shards, seqs) = (rows.column(1).as_primitive::<Int32Type>(), rows.column(2).as_primitive::<Int64Type>());
            for ((id, shard), seq) in rows.column(0).as_string::<i32>().iter().zip(shards.values()).zip(seqs.values()) {
                let id: usize = id.expect("an id").parse().expect("a place");
                places.insert((*shard, *seq), Event { shard: u16::try_from(*shard).expect("small"), ..set.events[id].clone() });
            }
        }
        assert_eq!(places.len(), set.events.len(), "{}: each once", set.owner);
        places.into_values().collect()
    }
}

fn micros(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).expect("a time").timestamp_micros()
}

/// Asks one question and holds the answer against the oracle's; where it came from.
async fn check(nodes: &Nodes, mut set: Set) -> Coverage {
    let events = nodes.stored(&mut set).await;
    let client = nodes.any(&mut set);
    let about = |request: &dyn std::fmt::Debug| format!("{}, {request:?}, {events:#?}", set.owner);
    match set.kind {
        Kind::Funnel => {
            let request = funnel::random_request(&mut set.random);
            let answer = answered(async || client.funnel("").with_request(request.clone()).await).await;
            funnel::compare(&answer, &funnel::expected(&events, &request), &about(&request));
            answer.coverage
        }
        Kind::Track => {
            let request = track::random_request(&mut set.random);
            let answer = answered(async || client.track("").with_request(request.clone()).await).await;
            let coverage = answer.coverage.clone().expect("coverage");
            let expected = track::expected(&events, &request, micros(&coverage.complete_to));
            assert_eq!(track::told(answer), expected, "{}", about(&request));
            Some(coverage)
        }
        Kind::Cohort => {
            let mut request = cohort::random_request(&mut set.random);
            set.random.pick(&["", TO]).clone_into(&mut request.to);
            let answer = answered(async || client.cohort("", "").with_request(request.clone()).await).await;
            // A period that is not over yet is told as such, so it counts when it was asked.
            let asked_us = micros(&answer.coverage.as_ref().expect("coverage").complete_to);
            let to = if request.to.is_empty() { asked_us } else { micros(TO) };
            let inside: Vec<Event> = events.iter().filter(|event| event.at_us <= to).cloned().collect();
            assert_eq!(cohort::told(&answer), cohort::expected(&inside, &request, to), "{}", about(&request));
            answer.coverage
        }
        Kind::Ratio => {
            let request = ratio::random_request(&mut set.random);
            let answer = answered(async || client.ratio("", "").with_request(request.clone()).await).await;
            let expected = ratio::expected(&events, &request);
            assert_eq!((answer.a, answer.b, answer.value), expected, "{}", about(&request));
            answer.coverage
        }
    }
    .expect("coverage")
}

fn sets(first: u64) -> Vec<Set> {
    #[expect(clippy::disallowed_methods, reason = "how many sets is for whoever runs the test")]
    let count = std::env::var("ANALYTICS_SETS").ok().map_or(SETS, |text| text.parse().expect("a number"));
    (first..first + count).flat_map(|seed| KINDS.map(|kind| Set::new(kind, seed))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_sets_on_three_nodes_are_those_of_the_oracles() {
    let slices = check_all(3, sets(20_000)).await;
    assert!(slices < 1.0, "each node has all shards");
}

#[tokio::test(flavor = "multi_thread")]
async fn random_sets_on_four_nodes_of_which_each_lacks_shards_are_those_of_the_oracles() {
    let slices = check_all(4, sets(21_000)).await;
    assert!(slices > sets(0).len() as f64 / 4.0, "{slices} slices were aggregated for other nodes");
}

/// Sends the sets, asks a question about each; how often a node was asked for what its events amount to.
async fn check_all(nodes: usize, mut sets: Vec<Set>) -> f64 {
    let dir = tempfile::tempdir().expect("a folder");
    // Every other tenant of each kind is spread over all shards.
    let is_spread = |place: usize| (place + place / KINDS.len()).is_multiple_of(2);
    let spread: Vec<&str> = (0..sets.len()).filter(|place| is_spread(*place)).map(|place| sets[place].owner.as_str()).collect();
    let spread: &'static str = spread.join(",").leak();
    // What is asked about is whether answers are right, not how soon they come.
    let patient = ("WATERSHED_QUERY_DEADLINE", "10m");
    let settings = [("WATERSHED_FLUSH_INTERVAL", "1h"), ("WATERSHED_HIGH_VOLUME_TENANTS", spread), patient];
    let cluster = Cluster::start_with(dir.path(), nodes, &settings);
    cluster.settled(0).await;
    let nodes = Nodes::of(&cluster).await;
    stream::iter(&mut sets).for_each_concurrent(AT_ONCE, |set| nodes.send(set, 0)).await;
    nodes.archive().await;
    stream::iter(&mut sets).for_each_concurrent(AT_ONCE, |set| nodes.send(set, 1)).await;
    let spread = nodes.of_owner(0, &sets[0].owner);
    assert!(number(&spread, "SELECT count(DISTINCT _shard) FROM events").await > 1, "it is spread");

    let count = sets.len();
    let answers: Vec<Coverage> = stream::iter(sets).map(|set| check(&nodes, set)).buffer_unordered(AT_ONCE).collect().await;
    let of_both = answers.iter().filter(|coverage| coverage.hot_events > 0 && coverage.lake_events > 0).count();
    assert!(of_both > count / 2, "{of_both} of {count} answers are of hot and lake");
    cluster.nodes.iter().flatten().map(|node| node.metric("watershed_peer_partials_total")).sum()
}
