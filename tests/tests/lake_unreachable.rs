//! A catalog that cannot be reached: hot data grows up to the limit, then the node refuses and says why; nothing is lost, and
//! all goes on by itself once the catalog is back.

#[path = "../../crates/lake/tests/support/proxy.rs"]
mod proxy;
#[path = "../../crates/lake/tests/support/servers.rs"]
mod servers;
#[path = "lake/world.rs"]
mod world;

use std::process::Command;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::server::Server;
use watershed_tests::{curl, number, target, until};

use world::World;

const BATCH: u64 = 500;
const LIMIT_BYTES: u64 = 256 << 10;
const COUNT: &str = "SELECT count(*) FROM events";
const DISTINCT: &str = "SELECT count(DISTINCT span_id) FROM events";

/// Sends batches until one is refused; how many were taken, and the refusal.
async fn fill(exporter: &Exporter, taken: &mut u64) -> Status {
    loop {
        match exporter.traces(spans(*taken * BATCH, BATCH)).await {
            Ok(_) => *taken += 1,
            Err(refused) => return refused,
        }
        assert!(*taken < 1_000, "there is no limit");
    }
}

fn status(server: &Server) -> String {
    let output = Command::new(target().join("debug/watershed")).args(["status", "--endpoint", &server.grpc]).output();
    String::from_utf8(output.expect("the binary runs").stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_refuses_before_its_disk_is_full_and_goes_on_when_the_catalog_is_back() {
    let (mut world, dir) = (World::start().await, tempfile::tempdir().expect("a folder"));
    let node = world.node(dir.path(), &[("WATERSHED_ARCHIVE_BACKLOG", "256KiB"), ("WATERSHED_LAKE_COMPACTION", "false")]);
    let (client, exporter, mut taken) = (node.client().await, Exporter::connect(&node.grpc).await, 0);
    exporter.traces(spans(0, BATCH)).await.expect("acknowledged");
    taken += 1;
    let backlog = async || client.status().await.expect("answers").archive_backlog_bytes;
    until("it is archived", async || backlog().await == 0).await;
    assert_eq!(curl::get(&format!("{}/readyz", node.http)).status, 200);

    world.rest.close().await;
    let refused = fill(&exporter, &mut taken).await;
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("wait for the lake"), "{refused}");
    let retry = refused.get_details_retry_info().and_then(|info| info.retry_delay).expect("says when to come back");
    assert!((2.0..=4.0).contains(&retry.as_secs_f64()), "{retry:?}");
    until("it knows why", async || !client.status().await.expect("answers").archive_failing.is_empty()).await;
    let refused = fill(&exporter, &mut taken).await;
    assert!(refused.message().contains("archiving fails: lake: "), "{refused}");
    let now = client.status().await.expect("answers");
    assert!(now.archive_backlog_bytes >= LIMIT_BYTES, "{now:?}");
    assert_eq!(now.archive_backlog_max_bytes, LIMIT_BYTES);
    let said = status(&node);
    assert!(said.contains("MiB wait for the lake, no more is taken; archiving fails for "), "{said}");
    assert!(node.metric("watershed_archive_backlog_bytes") >= LIMIT_BYTES as f64);
    assert!(node.metric("watershed_archive_backlog_refusals_total") >= 2.0);
    assert!(node.metric("watershed_archive_failing_seconds") > 0.0);
    let ready = curl::get(&format!("{}/readyz", node.http));
    assert!(ready.status == 503 && ready.body.contains("archive_backlog is 262144"), "{ready:?}");

    world.rest.open().await;
    until("it takes events again", async || exporter.traces(spans(taken * BATCH, BATCH)).await.is_ok()).await;
    taken += 1;
    until("all is archived", async || backlog().await == 0).await;
    assert_eq!(client.status().await.expect("answers").archive_failing, "");
    let all = i64::try_from(taken * BATCH).expect("few");
    assert_eq!((number(&client, COUNT).await, number(&client, DISTINCT).await), (all, all));
    node.terminate();
    assert!(node.ended().success());
    let rows: usize = world.in_iceberg().iter().map(|read| read.rows.len()).sum();
    assert_eq!(rows as u64, taken * BATCH, "PyIceberg");
}
