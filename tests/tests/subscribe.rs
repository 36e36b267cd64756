//! Following live, with others on the same shard.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::TryStreamExt as _;
use watershed_client::{Change, Filter, Start, Subscriptions};
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

fn topics(of: &[&str]) -> Filter {
    Filter { topics: of.iter().map(|topic| (*topic).to_owned()).collect(), ..Filter::default() }
}

async fn next(changes: &mut Subscriptions) -> (String, Change) {
    let change = tokio::time::timeout(Duration::from_secs(30), changes.try_next()).await.expect("something comes");
    change.expect("goes on").expect("does not end")
}

/// Reads until `id` has told of so many events; nothing of others may come, and none twice.
async fn events(changes: &mut Subscriptions, id: &str, count: usize) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let (from, change) = next(changes).await;
        assert_eq!(from, id, "{change:?}");
        match change {
            Change::Events(item) => {
                let ids = item.events.into_iter().map(|(_, event)| event.id.expect("an id"));
                ids.for_each(|id| assert!(seen.insert(id), "none twice"));
            }
            // Said again after a connection was lost.
            Change::Subscribed => {}
            other => panic!("{other:?}"),
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn one_grpc_stream_carries_subscriptions_that_come_and_go() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &["--shards", "1"]);
    let address = server.grpc.trim_start_matches("http://").to_owned();
    let exporter = Exporter::connect(&server.grpc).await;
    let (subscriber, mut changes) = server.client().await.subscriptions();
    for (id, filter) in [("nine", topics(&["trace.GET__item_9"])), ("none", topics(&["log.**"]))] {
        subscriber.subscribe(id, filter, Start::Now).await;
        let (of, change) = next(&mut changes).await;
        assert!(of == id && matches!(change, Change::Subscribed), "{of}: {change:?}");
    }
    exporter.traces(spans(0, 20)).await.expect("acknowledged");
    events(&mut changes, "nine", 2).await;

    for (id, filter, named) in [
        ("nine", Filter::default(), "there is a subscription `nine` already"),
        ("bad", topics(&["a..b"]), "filter.topics: CONSECUTIVE_DOTS"),
        ("sql", Filter { where_sql: "colour = 1".into(), ..Filter::default() }, "filter.where_sql: invalid SQL"),
    ] {
        subscriber.subscribe(id, filter, Start::Now).await;
        let (of, change) = next(&mut changes).await;
        let Change::Refused(error) = change else { panic!("{change:?}") };
        assert!(of == id && error.to_string().contains(named), "{of}: {error}");
    }
    subscriber.unsubscribe("nine").await;
    let (of, change) = next(&mut changes).await;
    assert!(of == "nine" && matches!(change, Change::Unsubscribed), "{of}: {change:?}");
    exporter.traces(spans(20, 20)).await.expect("acknowledged");
    // What came meanwhile is of nobody; all of it is there for who asks from the beginning.
    subscriber.subscribe("all", topics(&["trace.**"]), Start::Earliest).await;
    let before = events(&mut changes, "all", 40).await;

    // The node dies; on the next one at its address both go on where they were.
    server.kill();
    let server = Server::start(dir.path(), &["--shards", "1", "--grpc-addr", &address]);
    Exporter::connect(&server.grpc).await.traces(spans(40, 20)).await.expect("acknowledged");
    let mut after = BTreeSet::new();
    while after.len() < 20 {
        match next(&mut changes).await {
            (id, Change::Events(item)) if id == "all" => {
                after.extend(item.events.into_iter().map(|(_, event)| event.id.expect("an id")));
            }
            (_, Change::Subscribed) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(after.is_disjoint(&before), "none twice");
}
