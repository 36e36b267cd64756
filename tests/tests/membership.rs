//! Nodes come and go: a fourth one takes its share, one that drains gives its own away, a foreign folder stays out.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use futures::TryStreamExt as _;
use watershed_client::{Client, DescribeClusterResponse, Filter, Start};
use watershed_tests::authority::Authority;
use watershed_tests::cluster::Cluster;
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::server::Server;
use watershed_tests::{number, target, until};

const TENANTS: [&str; 4] = ["default", "acme", "globex", "initech"];
const COUNT: &str = "SELECT count(DISTINCT span_id) FROM events";

async fn client(cluster: &Cluster, place: usize, tenant: &str) -> Client {
    cluster.node(place).client().await.with_tenant(tenant).expect("a name")
}

async fn describe(cluster: &Cluster, place: usize) -> DescribeClusterResponse {
    cluster.node(place).client().await.cluster().describe().await.expect("answers")
}

/// Shards that a node votes in.
async fn holds(cluster: &Cluster, place: usize, node: u64) -> usize {
    let replicas = describe(cluster, place).await.replicas;
    let leaders = replicas.iter().filter(|one| one.shard.is_some() && one.leader == one.node);
    leaders.filter(|one| one.voters.contains(&node)).count()
}

fn watershed(words: &[&str], cluster: &Cluster, place: usize) -> (bool, String) {
    let mut command = Command::new(target().join("debug/watershed"));
    let output = command.args(words).args(["--endpoint", &cluster.node(place).grpc]).output().expect("the binary runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Sends 20 spans of each tenant to a node, another 20 each round.
async fn send(cluster: &Cluster, place: usize, round: u64) {
    for tenant in TENANTS {
        let exporter = Exporter::connect(&cluster.node(place).grpc).await.with_tenant(tenant);
        exporter.traces(spans(round * 20, 20)).await.expect("acknowledged");
    }
}

async fn everything_is_there(cluster: &Cluster, rounds: i64) {
    for place in (0..cluster.nodes.len()).filter(|place| cluster.nodes[*place].is_some()) {
        for tenant in TENANTS {
            let client = client(cluster, place, tenant).await;
            assert_eq!(number(&client, COUNT).await, rounds * 20, "{tenant} on node {place}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fourth_node_takes_its_share_and_one_that_drains_gives_its_own_away() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::start(dir.path(), 3);
    cluster.settled(0).await;
    send(&cluster, 0, 0).await;
    let fourth = cluster.add();
    send(&cluster, fourth, 1).await;
    until("it holds replicas", async || holds(&cluster, 0, 4).await > 0).await;
    cluster.settled(fourth).await;
    everything_is_there(&cluster, 2).await;
    for tenant in TENANTS {
        assert_eq!(followed(&client(&cluster, fourth, tenant).await, 40).await, 40, "a subscription through the new node");
    }

    let (drained, said) = watershed(&["cluster", "drain", "1"], &cluster, fourth);
    assert!(drained && holds(&cluster, fourth, 1).await == 0, "{said}");
    cluster.settled(fourth).await;
    send(&cluster, 0, 2).await;
    everything_is_there(&cluster, 3).await;
    cluster.end(0);
    let (removed, said) = watershed(&["cluster", "remove", "1"], &cluster, 1);
    assert!(removed, "{said}");
    send(&cluster, 1, 3).await;
    everything_is_there(&cluster, 4).await;
    cluster.settled(1).await;
    let (_, said) = watershed(&["cluster", "status"], &cluster, 1);
    assert!(said.contains("removed") && said.contains("everything stands where it should"), "{said}");
}

/// Its own are given up only after five minutes of silence, unless somebody says that it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_that_is_removed_is_replaced_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::start(dir.path(), 3);
    cluster.settled(0).await;
    send(&cluster, 0, 0).await;
    cluster.add();
    until("it holds replicas", async || holds(&cluster, 0, 4).await > 0).await;
    cluster.settled(0).await;
    let nodes = describe(&cluster, 0).await.nodes;
    let victim = nodes.iter().find(|node| node.address == cluster.addresses()[1]).expect("known").node;
    cluster.kill(1);
    until("the others miss it", async || {
        describe(&cluster, 0).await.nodes.iter().any(|node| node.node == victim && !node.reachable)
    })
    .await;
    let (removed, said) = watershed(&["cluster", "remove", &victim.to_string()], &cluster, 0);
    assert!(removed, "{said}");
    cluster.settled(0).await;
    assert_eq!(holds(&cluster, 0, victim).await, 0, "its places are taken");
    send(&cluster, 3, 1).await;
    everything_is_there(&cluster, 2).await;
}

/// It holds every shard alone at the beginning of its control log, which it reads again when it starts. A folder in the file's
/// place shows that it does not even open one.
#[tokio::test(flavor = "multi_thread")]
async fn a_founder_that_gave_a_shard_away_does_not_take_it_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::start(dir.path(), 3);
    cluster.settled(0).await;
    send(&cluster, 0, 0).await;
    cluster.add();
    until("the founder holds less than all", async || holds(&cluster, 3, 1).await < 4).await;
    cluster.settled(3).await;
    let gone: Vec<_> =
        (0..4).map(|shard| cluster.replicas(0).join(format!("shard-{shard}.db"))).filter(|file| !file.exists()).collect();
    assert!(!gone.is_empty(), "what is elsewhere is deleted");
    cluster.kill(0);
    gone.iter().for_each(|file| std::fs::create_dir(file).expect("a folder"));
    cluster.start_again();
    send(&cluster, 0, 1).await;
    everything_is_there(&cluster, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_back_elsewhere_is_found() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::start(dir.path(), 3);
    cluster.settled(0).await;
    send(&cluster, 0, 0).await;
    cluster.kill(2);
    cluster.move_away(2);
    cluster.start_again();
    let address = cluster.addresses()[2].clone();
    until("the others know where it is", async || {
        let nodes = describe(&cluster, 0).await.nodes;
        nodes.iter().any(|node| node.address == address && node.reachable)
    })
    .await;
    cluster.settled(2).await;
    send(&cluster, 2, 1).await;
    everything_is_there(&cluster, 2).await;
}

async fn followed(client: &Client, count: usize) -> usize {
    let mut stream = client.subscribe(Filter::default(), Start::Earliest);
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let item = tokio::time::timeout(Duration::from_secs(30), stream.try_next()).await.expect("it goes on");
        for (_, event) in item.expect("follows").expect("does not end").events {
            assert!(seen.insert(event.span_id.expect("a span")), "each once");
        }
    }
    seen.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_make_no_sense_are_refused_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::start(dir.path(), 3);
    cluster.settled(0).await;
    for (words, wanted) in [
        (&["cluster", "drain", "9"][..], "node: 9 is not known"),
        (&["cluster", "drain", "b:1"], "no address begins with b:1"),
        (&["cluster", "drain", "127."], "several addresses begin with 127."),
        (&["cluster", "remove", "2"], "drain it first"),
        (&["cluster", "transfer-leader", "--shard", "4", "--to", "1"], "shard: 4, must be below 4"),
        (&["cluster", "transfer-leader", "--shard", "0", "--to", "9"], "9"),
    ] {
        let (done, said) = watershed(words, &cluster, 1);
        assert!(!done && said.contains(wanted), "{words:?}: {said}");
    }
    let (done, said) = watershed(&["cluster", "transfer-leader", "--shard", "0", "--to", "2"], &cluster, 2);
    assert!(done, "{said}");
    let (done, said) = watershed(&["cluster", "rebalance"], &cluster, 2);
    assert!(done, "{said}");
}

#[test]
fn a_folder_of_another_cluster_is_refused() {
    let (here, there) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let cluster = Cluster::start(here.path(), 1);
    Cluster::start(there.path(), 1).end(0);
    let secret = here.path().join("secret");
    let settings = [
        ("WATERSHED_CLUSTER_ADDR", "127.0.0.1:0"),
        ("WATERSHED_ADVERTISE_ADDR", "127.0.0.1:9"),
        ("WATERSHED_JOIN", cluster.addresses()[0].as_str()),
        ("WATERSHED_CLUSTER_SECRET_FILE", secret.to_str().expect("UTF-8")),
        ("WATERSHED_LAKE_CATALOG", "none"),
    ];
    let mut command = Command::new(target().join("debug/watershed"));
    command.args(["serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--data-dir"]);
    let output = command.arg(there.path().join("node-0")).envs(settings).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("data folder of another cluster"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_certificates_form_a_cluster() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::start_with_tls(dir.path(), 3, &Authority::default());
    cluster.settled(0).await;
    send(&cluster, 0, 0).await;
    everything_is_there(&cluster, 1).await;
    cluster.kill(2);
    cluster.start_again();
    send(&cluster, 2, 1).await;
    everything_is_there(&cluster, 2).await;

    let file = |name: &str| dir.path().join("tls-0").join(name);
    let mut command = Command::new(target().join("debug/watershed"));
    command.args(["serve", "--data-dir"]).arg(dir.path().join("node-9"));
    command.envs([("WATERSHED_CLUSTER_ADDR", "127.0.0.1:0"), ("WATERSHED_ADVERTISE_ADDR", "127.0.0.99:9")]);
    command.envs([("WATERSHED_JOIN", cluster.addresses()[0].as_str()), ("WATERSHED_LAKE_CATALOG", "none")]);
    for name in ["cert", "key", "ca"] {
        command.env(format!("WATERSHED_CLUSTER_TLS_{}_FILE", name.to_uppercase()), file(&format!("{name}.pem")));
    }
    let output = command.output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("the certificate is not for 127.0.0.99"), "{said}");
}

#[test]
fn nodes_that_join_need_what_they_share() {
    let dir = tempfile::tempdir().expect("a folder");
    let alone = [("WATERSHED_JOIN", "127.0.0.1:9"), ("WATERSHED_ADVERTISE_ADDR", "127.0.0.1:9")];
    assert!(Server::start_with(dir.path(), &[], &alone).is_none(), "no secret");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef").expect("written");
    let own_lake = [alone[0], alone[1], ("WATERSHED_CLUSTER_SECRET_FILE", secret.to_str().expect("UTF-8"))];
    assert!(Server::start_with(dir.path(), &[], &own_lake).is_none(), "a lake of its own");
}
