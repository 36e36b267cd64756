//! What the folder remembers when the settings forget it.

use watershed_client::Client;
use watershed_tests::number;
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::server::Server;

const COUNT: &str = "SELECT count(*) FROM events";

async fn acme(server: &Server) -> Client {
    server.client().await.with_tenant("acme").expect("a name")
}

/// Events stay hot, so that each is looked for on its shard; the lake has no shards.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_no_longer_spread_keeps_its_events() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = ["--flush-interval", "1h"];
    let server = Server::start(dir.path(), &[&flags[..], &["--set", "high_volume_tenants=acme"]].concat());
    let exporter = Exporter::connect(&server.grpc).await.with_tenant("acme");
    exporter.traces(spans(0, 200)).await.expect("acknowledged");
    let shards = number(&acme(&server).await, "SELECT count(DISTINCT _shard) FROM events").await;
    assert!(shards > 1, "it is spread, over {shards} shards");
    server.kill();
    let server = Server::start(dir.path(), &flags);
    let (client, exporter) = (acme(&server).await, Exporter::connect(&server.grpc).await.with_tenant("acme"));
    assert_eq!(number(&client, COUNT).await, 200);
    for trace in 1..=50u128 {
        assert_eq!(client.get_trace(&format!("{:032x}", trace << 8 | 1)).await.expect("reads").len(), 4, "trace {trace}");
    }
    exporter.traces(spans(0, 200)).await.expect("a retry");
    exporter.traces(spans(200, 100)).await.expect("acknowledged");
    assert_eq!(number(&client, COUNT).await, 300);
}
