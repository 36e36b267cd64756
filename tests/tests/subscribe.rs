//! Following live, with others on the same shard.

use futures::TryStreamExt as _;
use watershed_client::{Filter, Start};
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn a_live_subscription_steps_over_events_of_others_without_a_hole() {
    const BATCHES: u64 = 20;
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &["--shards", "1"]);
    let mine = Exporter::connect(&server.grpc).await.with_tenant("mine");
    let others = Exporter::connect(&server.grpc).await.with_tenant("others");
    let client = server.client().await.with_tenant("mine").expect("a name");
    let mut stream = client.subscribe(Filter::default(), Start::Earliest);
    let mut seen = 0;
    for batch in 0..BATCHES {
        others.traces(spans(1_000 + batch * 10, 10)).await.expect("acknowledged");
        mine.traces(spans(batch * 10, 10)).await.expect("acknowledged");
        while seen < (batch + 1) * 10 {
            let item = stream.try_next().await.expect("without a hole").expect("does not end");
            seen += item.events.len() as u64;
        }
    }
    assert_eq!(seen, BATCHES * 10);
}
