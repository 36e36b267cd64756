//! Three processes, one store: any node takes any request, and a dead one costs no acknowledged event.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::TryStreamExt as _;
use tokio::task::JoinSet;
use watershed_client::{Client, Filter, Start};
use watershed_tests::cluster::Cluster;
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::{number, texts, until};

const BATCH: u64 = 50;
const TENANTS: [&str; 4] = ["default", "acme", "globex", "initech"];

async fn client(cluster: &Cluster, place: usize, tenant: &str) -> Client {
    cluster.node(place).client().await.with_tenant(tenant).expect("a name")
}

/// Every shard has three voters and a leader.
async fn replicated(cluster: &Cluster, place: usize) {
    let client = cluster.node(place).client().await;
    until("three voters of each shard", async || {
        let status = client.status().await.expect("answers");
        status.shards.iter().all(|shard| shard.voters.len() == 3 && shard.leader_node > 0)
    })
    .await;
}

/// Numbers in the ids of a tenant's spans, as a node finds them; each once.
async fn stored(cluster: &Cluster, place: usize, tenant: &str) -> BTreeSet<u64> {
    let found = texts(&client(cluster, place, tenant).await, "SELECT span_id FROM events").await;
    let numbers: BTreeSet<u64> = found.iter().map(|id| u64::from_str_radix(id, 16).expect("hex") - 1).collect();
    assert_eq!(numbers.len(), found.len(), "each once");
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_takes_any_request_and_leaders_are_shared() {
    let dir = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::start(dir.path(), 3);
    replicated(&cluster, 1).await;
    for (place, tenant) in (0..3).cycle().zip(TENANTS) {
        let exporter = Exporter::connect(&cluster.node(place).grpc).await.with_tenant(tenant);
        exporter.traces(spans(0, BATCH)).await.expect("acknowledged");
        for asked in 0..3 {
            assert_eq!(stored(&cluster, asked, tenant).await.len() as u64, BATCH, "{tenant} read on node {asked}");
        }
        let again = Exporter::connect(&cluster.node((place + 1) % 3).grpc).await.with_tenant(tenant);
        again.traces(spans(0, BATCH)).await.expect("acknowledged");
        assert_eq!(stored(&cluster, place, tenant).await.len() as u64, BATCH, "a retry on another node adds nothing");
    }
    let client = cluster.node(0).client().await;
    until("leaders on two nodes or more", async || {
        let leaders: BTreeSet<u64> =
            client.status().await.expect("answers").shards.iter().map(|shard| shard.leader_node).collect();
        leaders.len() > 1
    })
    .await;
}

/// Sends batches to whichever node of `nodes` answers until told to stop; the numbers of those that were acknowledged.
async fn flood(nodes: Vec<String>, sender: u64, stop: Arc<AtomicBool>, acked: Arc<AtomicU64>) -> Vec<u64> {
    let (mut mine, mut at) = (Vec::new(), usize::try_from(sender).expect("small") % nodes.len());
    let tenant = TENANTS[usize::try_from(sender).expect("small") % TENANTS.len()];
    let mut step = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok(channel) = tonic::transport::Channel::from_shared(nodes[at].clone()).expect("an address").connect().await else {
            at = (at + 1) % nodes.len();
            continue;
        };
        let exporter = Exporter::over(channel).with_tenant(tenant);
        while !stop.load(Ordering::Relaxed) {
            let first = (sender << 32) + step * BATCH;
            if exporter.traces(spans(first, BATCH)).await.is_err() {
                break;
            }
            acked.fetch_add(1, Ordering::Relaxed);
            mine.push(first);
            step += 1;
        }
        at = (at + 1) % nodes.len();
    }
    mine
}

/// Every node has led every shard, `last` leads now. A node that leads again lacks, at first, what the one that dies had
/// committed: a retry that comes just then is a retry still.
async fn lead_in_turn(cluster: &Cluster, last: usize) {
    let client = cluster.node(last).client().await;
    let nodes = client.cluster().describe().await.expect("answers").nodes;
    let number = |place: usize| nodes.iter().find(|node| node.address == cluster.addresses()[place]).expect("known").node;
    for (shard, place) in (0..4).flat_map(|shard| [1, 2, 0].map(|step| (shard, (last + step) % 3))) {
        until("it leads", async || client.cluster().transfer_leader(shard, number(place)).await.is_ok()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_die_one_after_the_other_and_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::start(dir.path(), 3);
    replicated(&cluster, 0).await;
    let (stop, acked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut acknowledged: [Vec<u64>; 4] = Default::default();
    let mut sender = 0;
    for victim in 0..3 {
        let nodes: Vec<String> = (0..3).map(|place| cluster.node(place).grpc.clone()).collect();
        let mut senders = JoinSet::new();
        stop.store(false, Ordering::Relaxed);
        lead_in_turn(&cluster, victim).await;
        for _ in 0..4 {
            let tenant = usize::try_from(sender).expect("small") % 4;
            let flooding = flood(nodes.clone(), sender, Arc::clone(&stop), Arc::clone(&acked));
            senders.spawn(async move { (tenant, flooding.await) });
            sender += 1;
        }
        let before = acked.load(Ordering::Relaxed);
        until("load before the death", async || acked.load(Ordering::Relaxed) > before + 100).await;
        cluster.kill(victim);
        let at_death = acked.load(Ordering::Relaxed);
        until("writes go on without it", async || acked.load(Ordering::Relaxed) > at_death + 100).await;
        stop.store(true, Ordering::Relaxed);
        while let Some(sent) = senders.join_next().await {
            let (tenant, mine) = sent.expect("the sender ends");
            acknowledged[tenant].extend(mine);
        }
        cluster.start_again();
        replicated(&cluster, victim).await;
    }
    for (tenant, acknowledged) in TENANTS.iter().zip(&acknowledged) {
        let all: Vec<BTreeSet<u64>> = futures::future::join_all((0..3).map(|place| stored(&cluster, place, tenant))).await;
        assert!(all[0] == all[1] && all[1] == all[2], "every node tells the same of {tenant}");
        for first in acknowledged {
            assert!((*first..first + BATCH).all(|n| all[0].contains(&n)), "acknowledged batch {first} of {tenant} is not whole");
        }
        let client = client(&cluster, 1, tenant).await;
        assert_eq!(followed(&client, all[0].len()).await, all[0], "a subscription sees each once");
        until("all is archived", async || number(&client, "SELECT count(*) FROM events WHERE _tier = 'hot'").await == 0).await;
        assert_eq!(stored(&cluster, 2, tenant).await, all[0], "the same in the lake alone");
    }
}

/// What comes to a node that has just lost its leadership goes where it belongs at once.
#[tokio::test(flavor = "multi_thread")]
async fn leadership_goes_to_and_fro_and_every_append_is_answered() {
    let dir = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::start(dir.path(), 3);
    replicated(&cluster, 0).await;
    let exporters = futures::future::join_all((0..3).map(|place| Exporter::connect(&cluster.node(place).grpc))).await;
    exporters[0].traces(spans(0, BATCH)).await.expect("acknowledged");
    let reader = cluster.node(0).client().await;
    let shard = u32::try_from(number(&reader, "SELECT CAST(max(_shard) AS BIGINT) FROM events").await).expect("a shard");
    let (operator, mut handovers) = (reader.cluster(), 0);
    for round in 1..50 {
        let retries = exporters.iter().cycle().take(9).map(|exporter| exporter.traces(spans(round * BATCH, BATCH)));
        let handover = operator.transfer_leader(shard, 1 + round % 2);
        let (handed, sent) = tokio::join!(handover, futures::future::join_all(retries));
        handovers += u32::from(handed.is_ok());
        sent.into_iter().for_each(|one| drop(one.expect("acknowledged")));
    }
    assert!(handovers > 25, "{handovers} of 49: the others lag too far behind");
    assert_eq!(stored(&cluster, 0, "default").await, (0..50 * BATCH).collect());
}

async fn followed(client: &Client, count: usize) -> BTreeSet<u64> {
    let mut stream = client.subscribe(Filter::default(), Start::Earliest);
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let item = tokio::time::timeout(Duration::from_secs(60), stream.try_next()).await.expect("it goes on");
        for (_, event) in item.expect("follows").expect("does not end").events {
            let id = event.span_id.expect("a span");
            assert!(seen.insert(u64::from_str_radix(&id, 16).expect("hex") - 1), "each once");
        }
    }
    seen
}
