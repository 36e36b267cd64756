//! Sudden death: what was acknowledged is there once, in SQL over hot and lake and in the resumed subscription.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::TryStreamExt as _;
use tokio::task::JoinSet;
use watershed_client::{Client, Filter, Start};
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::pyiceberg::read_table;
use watershed_tests::server::Server;
use watershed_tests::{number, texts, until};

const BATCH: u64 = 100;
const SENDERS: u64 = 4;

/// Sends batches as fast as it can until the server is gone; the numbers of the first spans that were acknowledged.
async fn flood(endpoint: String, sender: u64, acked: Arc<AtomicU64>) -> Vec<u64> {
    let exporter = Exporter::connect(&endpoint).await;
    let mut mine = Vec::new();
    for step in 0.. {
        let first = (sender << 32) + step * BATCH;
        match exporter.traces(spans(first, BATCH)).await {
            Ok(answer) => assert!(answer.partial_success.is_none()),
            Err(_gone) => break,
        }
        acked.fetch_add(1, Ordering::Relaxed);
        mine.push(first);
    }
    mine
}

/// Numbers that stand in the ids of stored spans; each once.
async fn stored(client: &Client) -> BTreeSet<u64> {
    let found = texts(client, "SELECT span_id FROM events").await;
    let numbers: BTreeSet<u64> = found.iter().map(|id| u64::from_str_radix(id, 16).expect("hex") - 1).collect();
    assert_eq!(numbers.len(), found.len(), "each once");
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_full_speed_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = ["--flush-interval", "1s"];
    let (mut acknowledged, mut token, mut followed) = (Vec::new(), None, BTreeSet::new());
    for round in 0..3 {
        let server = Server::start(dir.path(), &flags);
        let acked = Arc::new(AtomicU64::new(0));
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            senders.spawn(flood(server.grpc.clone(), round * SENDERS + sender, Arc::clone(&acked)));
        }
        let client = server.client().await;
        follow_some(&client, &mut token, &mut followed, usize::MAX).await;
        until("two hundred acknowledged batches", async || acked.load(Ordering::Relaxed) > 200).await;
        server.kill();
        while let Some(mine) = senders.join_next().await {
            acknowledged.extend(mine.expect("the sender ends"));
        }
    }
    let server = Server::start(dir.path(), &flags);
    let client = server.client().await;
    let stored = stored(&client).await;
    for first in &acknowledged {
        assert!((*first..first + BATCH).all(|n| stored.contains(&n)), "acknowledged batch {first} is not whole");
    }
    assert!(acknowledged.len() > 600, "it ran at speed");
    while followed.len() < stored.len() {
        follow_some(&client, &mut token, &mut followed, stored.len()).await;
    }
    assert_eq!(followed, stored, "the subscription saw each stored event once");
    until("all is archived", async || number(&client, "SELECT count(*) FROM events WHERE _tier = 'hot'").await == 0).await;
    assert_eq!(self::stored(&client).await, stored, "the same in the lake alone");
}

/// Goes on from the token, for a few messages or until it has seen enough.
async fn follow_some(client: &Client, token: &mut Option<bytes::Bytes>, seen: &mut BTreeSet<u64>, enough: usize) {
    let start = token.clone().map_or(Start::Earliest, Start::Token);
    let mut stream = client.subscribe(Filter::default(), start);
    for _ in 0..5 {
        let item = stream.try_next().await.expect("follows").expect("does not end");
        assert!(item.lost.is_none(), "no gap");
        for (_, event) in item.events {
            let n = u64::from_str_radix(&event.span_id.expect("a span"), 16).expect("hex") - 1;
            assert!(seen.insert(n), "span {n} came twice");
        }
        *token = Some(item.resume_token);
        if seen.len() >= enough {
            return;
        }
    }
}

/// Between every pair of steps of archiving.
const FAIL_POINTS: [&str; 10] = [
    "lake::after_parquet",
    "archive::before_staged",
    "archive::after_staged",
    "lake::before_own",
    "lake::after_join",
    "lake::between_tables",
    "lake::before_commit",
    "lake::after_commit",
    "archive::before_archived",
    "archive::after_archived",
];

/// A tenant with a table of its own, and one that has none.
const TENANTS: [(&str, &str); 2] = [("acme", "events_acme"), ("default", "events")];

#[tokio::test(flavor = "multi_thread")]
async fn death_between_any_two_steps_of_archiving_leaves_each_event_once() {
    let dir = tempfile::tempdir().expect("a folder");
    // Runs of many shards, small ones: they are joined for the commit.
    let flags = ["--flush-interval", "1s", "--set", "lake_own_tables=acme", "--set", "high_volume_tenants=default,acme"];
    let mut sent = 0;
    for point in FAIL_POINTS {
        let fail = format!("{point}=panic");
        let mut server = Server::start_with(dir.path(), &flags, &[("FAILPOINTS", &fail)]).expect("starts");
        for (tenant, _) in TENANTS {
            let exporter = Exporter::connect(&server.grpc).await.with_tenant(tenant);
            exporter.traces(spans(sent, BATCH)).await.expect("acknowledged before the archiver dies");
        }
        sent += BATCH;
        until(point, async || !server.is_running()).await;
    }
    let server = Server::start(dir.path(), &flags);
    let (all, mut ours): (BTreeSet<u64>, _) = ((0..sent).collect(), Vec::new());
    for (tenant, _) in TENANTS {
        let client = server.client().await.with_tenant(tenant).expect("a name");
        assert_eq!(stored(&client).await, all, "{tenant}: in hot and lake together");
        until("all is archived", async || number(&client, "SELECT count(*) FROM events WHERE _tier = 'hot'").await == 0).await;
        assert_eq!(stored(&client).await, all, "{tenant}: in the lake alone");
        ours.push(serde_json::json!({
            "rows": number(&client, "SELECT count(*) FROM events").await,
            "distinct": number(&client, "SELECT count(DISTINCT id) FROM events").await,
            "names": texts(&client, "SELECT DISTINCT event_name FROM events ORDER BY 1").await,
            "microseconds": number(&client, "SELECT cast(round(sum(duration_ms) * 1000) AS BIGINT) FROM events").await,
            "tenants": [tenant],
        }));
    }
    server.terminate();
    assert!(server.ended().success(), "SIGTERM ends it with 0");
    for ((_, table), ours) in TENANTS.into_iter().zip(ours) {
        let theirs = read_table(dir.path(), table);
        for reader in ["iceberg", "parquet"] {
            let seen = &theirs[reader];
            assert_eq!(seen["places"], seen["rows"], "{table}, {reader}: each shard and seq once");
            let seen = serde_json::json!({
                "rows": seen["rows"],
                "distinct": seen["distinct"],
                "names": seen["names"],
                "microseconds": seen["duration_us"],
                "tenants": seen["tenants"],
            });
            assert_eq!(seen, ours, "{table}, {reader}: sees what our SQL sees");
        }
    }
}
