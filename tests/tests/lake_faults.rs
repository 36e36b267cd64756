//! A node archives and keeps its lake in shape while its S3 server and its REST catalog refuse, cut, delay and do what they
//! say they did not. One of its tenants has a table of its own. The set checker of `chaos` finds nothing lost and nothing twice: in SQL meanwhile and afterwards, and in
//! PyIceberg.
//!
//! Longer, by another seed: `WATERSHED_FAULTS="11 2000 600" cargo nextest run -E 'binary(lake_faults)'`: seed, faults, seconds.

#[path = "../../crates/lake/tests/support/nemesis.rs"]
mod nemesis;
#[path = "../../crates/lake/tests/support/proxy.rs"]
mod proxy;
#[path = "../../crates/lake/tests/support/servers.rs"]
mod servers;
#[path = "lake/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use watershed_chaos::checker::{Moment, Read, check};
use watershed_chaos::history::{Clock, History};
use watershed_chaos::sql;
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::until;

use nemesis::{catalog_faults, storage_faults};
use world::{REQUEST_MAX, World};

const TENANTS: [&str; 3] = ["default", "acme", "globex"];
/// Of each, before the faults end. A storm is several refusals with 409.
const KINDS: [(&str, usize); 14] = [
    ("s3: refused with 500", 2),
    ("s3: refused with 503", 2),
    ("s3: applied, answered 500", 4),
    ("s3: cut before", 2),
    ("s3: cut after", 2),
    ("s3: slow", 2),
    ("rest: refused with 500", 2),
    ("rest: refused with 503", 2),
    ("rest: applied, answered 500", 2),
    ("rest: applied, answered 503", 2),
    ("rest: cut before", 2),
    ("rest: cut after", 2),
    ("rest: slow", 2),
    ("rest: refused with 409", 3),
];
const BATCH: u64 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Seed, faults and longest time.
struct Plan {
    seed: u64,
    faults: usize,
    time: Duration,
}

impl Plan {
    #[expect(clippy::disallowed_methods, reason = "no setting of a node: how long a person wants this test to be")]
    fn read() -> Self {
        let words = std::env::var("WATERSHED_FAULTS").unwrap_or_default();
        let number = |place: usize, default: u64| {
            words.split(' ').nth(place).filter(|word| !word.is_empty()).map_or(default, |word| word.parse().expect("a number"))
        };
        let faults = usize::try_from(number(1, 200)).expect("not so many");
        Self { seed: number(0, 7), faults, time: Duration::from_secs(number(2, 150)) }
    }

    fn is_enough(&self, injected: &BTreeMap<String, usize>) -> bool {
        let is_there = |(kind, least): &(&str, usize)| injected.get(*kind).is_some_and(|count| count >= least);
        injected.values().sum::<usize>() >= self.faults && KINDS.iter().all(is_there)
    }
}

/// A tenant's sender: batch after batch until it is told to end.
async fn send(endpoint: String, tenant: &'static str, history: Arc<History>, clock: Clock) {
    let exporter = Exporter::connect(&endpoint).await.with_tenant(tenant);
    let first = TENANTS.iter().position(|other| *other == tenant).expect("one of them") as u64 * 1_000_000_000;
    for batch in 0.. {
        let from = first + batch * BATCH;
        let number = history.sent(tenant, from..from + BATCH, clock.us());
        if exporter.traces(spans(from, BATCH)).await.is_ok() {
            history.acknowledged(number, clock.us());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A tenant's reader; a query that the lake's faults make impossible says nothing.
async fn read(endpoint: &str, tenant: &str, moment: Moment) -> Option<Read> {
    let rows = sql::read(endpoint, tenant).await.ok()?;
    Some(Read { reader: "SQL".to_owned(), tenant: tenant.to_owned(), moment, rows })
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_while_storage_and_catalog_go_wrong() {
    let (plan, world, dir) = (Plan::read(), World::start().await, tempfile::tempdir().expect("a folder"));
    let upkeep = [
        ("WATERSHED_LAKE_OWN_TABLES", "acme"),
        ("WATERSHED_LAKE_COMPACTION_INTERVAL", "1s"),
        ("WATERSHED_LAKE_SNAPSHOT_RETENTION", "5s"),
        ("WATERSHED_LAKE_SNAPSHOTS_KEPT", "3"),
        ("WATERSHED_LAKE_EXPIRY_INTERVAL", "2s"),
    ];
    let node = world.node(dir.path(), &upkeep);
    world.s3.plan(storage_faults(plan.seed, REQUEST_MAX));
    world.rest.plan(catalog_faults(plan.seed + 4, REQUEST_MAX));
    let (history, clock, began) = (Arc::new(History::default()), Clock::start(), Instant::now());
    let mut senders = JoinSet::new();
    for tenant in TENANTS {
        senders.spawn(send(node.grpc.clone(), tenant, Arc::clone(&history), clock));
    }
    let (mut reads, mut asked) = (Vec::new(), 0);
    while !plan.is_enough(&world.injected()) {
        assert!(began.elapsed() < plan.time, "too slow: {:#?}", world.injected());
        for tenant in TENANTS {
            asked += 1;
            reads.extend(read(&node.grpc, tenant, Moment::During(clock.us())).await);
        }
    }
    let injected = world.injected();
    senders.shutdown().await;
    let during = reads.len();
    world.calm();
    for tenant in TENANTS {
        let in_hot = async || sql::count(&node.grpc, tenant, "WHERE _tier = 'hot'").await.ok() == Some(0);
        until("everything is archived", in_hot).await;
        reads.extend(read(&node.grpc, tenant, Moment::Final).await);
    }
    assert_eq!(reads.len(), during + TENANTS.len(), "it answers once all is calm");
    let compacted = node.metric("watershed_compaction_rounds_total");
    let expired = node.metric("watershed_snapshots_expired_total");
    node.terminate();
    assert!(node.ended().success());
    reads.extend(world.in_iceberg());
    let batches = history.all();
    println!(
        "seed {}: {injected:#?}, {} batches, {during} of {asked} reads were answered, {compacted} compactions, {expired} \
         snapshots expired, {:?} in all",
        plan.seed,
        batches.len(),
        began.elapsed()
    );
    assert_eq!(check(&batches, &reads), [], "lost, doubled, or in one reader alone");
    assert!(compacted >= 1.0 && expired >= 1.0, "upkeep went on: {compacted} compactions, {expired} snapshots");
    assert!(plan.is_enough(&injected), "{injected:#?}");
    assert!(during >= 3, "{during} of {asked} reads were answered");
}
