//! Streams that begin behind the hot tier: from the lake, then from the log, then live, each event once and in order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::Value;
use tokio_tungstenite::connect_async;
use watershed_client::{Client, Filter, Start, Subscription};
use watershed_schema::{BatchBuilder, Column, EventBatch, TenantId};
use watershed_tests::cluster::Cluster;
use watershed_tests::curl;
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::server::Server;
use watershed_tests::{number, until};

/// Archived within a second and let go of soon after: the dedupe window would keep it for ten minutes.
const FLAGS: [&str; 6] = ["--shards", "2", "--flush-interval", "1s", "--hot-retention", "1s"];
const TRIMS: (&str, &str) = ("FAILPOINTS", "trim::without_dedupe_window=return");
const DEADLINE: Duration = Duration::from_secs(60);

fn start(dir: &Path) -> Server {
    Server::start_with(dir, &FLAGS, &[TRIMS]).expect("starts")
}

/// What a stream has told: for each shard the numbers in the order they came, and every name with its number in it.
#[derive(Debug, Default)]
struct Seen {
    seqs: BTreeMap<u32, Vec<u64>>,
    ids: BTreeSet<String>,
    token: bytes::Bytes,
}

impl Seen {
    fn count(&self) -> u64 {
        self.ids.len() as u64
    }

    /// Reads on until so many events were seen; none may come twice, out of order, or be lost.
    async fn until(&mut self, stream: &mut Subscription, count: u64) {
        while self.count() < count {
            let item = tokio::time::timeout(DEADLINE, stream.next()).await;
            let item = item.unwrap_or_else(|_late| panic!("{} of {count} came", self.count()));
            let item = item.expect("does not end").expect("without a hole");
            assert_eq!(item.lost, None, "nothing is lost");
            let seqs = self.seqs.entry(item.shard).or_default();
            for (seq, event) in item.events {
                assert!(seqs.last().is_none_or(|last| *last < seq), "shard {}: {seq} after {seqs:?}", item.shard);
                seqs.push(seq);
                assert!(self.ids.insert(event.id.clone().expect("an id")), "{seq} came twice");
            }
            self.token = item.resume_token;
        }
    }
}

async fn send(endpoint: &str, first: u64, count: u64) {
    let exporter = Exporter::connect(endpoint).await;
    for at in (first..first + count).step_by(20) {
        exporter.traces(spans(at, 20)).await.expect("acknowledged");
    }
}

fn log() -> EventBatch {
    let mut batch = BatchBuilder::new(TenantId::default(), 256);
    batch.row(None, |row| {
        row.str(Column::Id, "the log");
        row.str(Column::EventType, "log");
        row.str(Column::EventName, "n");
        row.int(Column::Timestamp, 1_760_000_000_000_000);
    });
    batch.finish().expect("a row")
}

/// Waits until no shard that has events has the first of them any more.
async fn trimmed(client: &Client) {
    until("it is trimmed", async || {
        let shards = client.status().await.expect("answers").shards;
        shards.iter().filter(|shard| shard.tail_seq > 1).all(|shard| shard.trimmed_seq == shard.tail_seq)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_lake_then_the_log_then_live() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    let client = server.client().await;
    send(&server.grpc, 0, 60).await;
    // A token of before most of it came, and went.
    let mut early = Seen::default();
    early.until(&mut client.subscribe(Filter::default(), Start::Earliest), 60).await;
    send(&server.grpc, 60, 340).await;
    trimmed(&client).await;
    send(&server.grpc, 400, 200).await;

    let mut seen = Seen::default();
    let mut stream = client.subscribe(Filter::default(), Start::Earliest);
    seen.until(&mut stream, 600).await;
    send(&server.grpc, 600, 100).await;
    seen.until(&mut stream, 700).await;
    assert_eq!(number(&client, "SELECT count(*) FROM events").await, 700);

    let mut resumed = client.subscribe(Filter::default(), Start::Token(early.token.clone()));
    early.until(&mut resumed, 700).await;
    assert_eq!(early.ids, seen.ids, "behind the token is what was missing, and nothing else");
    for (shard, seqs) in &seen.seqs {
        assert_eq!(*seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "shard {shard}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_rows_come_and_are_trimmed_over_connections_that_are_cut() {
    const COUNT: u64 = 4_000;
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    let client = server.client().await;
    send(&server.grpc, 0, 1_000).await;
    trimmed(&client).await;
    let endpoint = server.grpc.clone();
    let sender = tokio::spawn(async move {
        for first in (1_000..COUNT).step_by(100) {
            send(&endpoint, first, 100).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let (mut seen, mut from) = (Seen::default(), Start::Earliest);
    // Each connection is dropped in the middle; the next one has to find the same place, wherever its rows are by then.
    for cut in 1..=20 {
        let mut stream = client.subscribe(Filter::default(), from);
        seen.until(&mut stream, cut * COUNT / 20).await;
        from = Start::Token(seen.token.clone());
    }
    sender.await.expect("sent");
    assert_eq!(seen.count(), COUNT);
    assert_eq!(number(&client, "SELECT count(*) FROM events").await, i64::try_from(COUNT).expect("small"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_holds_for_the_lake_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    let client = server.client().await;
    let other = Exporter::connect(&server.grpc).await.with_tenant("other");
    send(&server.grpc, 0, 200).await;
    other.traces(spans(5_000, 50)).await.expect("acknowledged");
    trimmed(&client).await;
    send(&server.grpc, 200, 200).await;
    let nines = |name: &str| name.ends_with("/9");
    let cases = [
        Filter { topics: vec!["trace.GET__item_9".into()], ..Filter::default() },
        Filter { where_sql: "event_name LIKE '%9'".into(), ..Filter::default() },
        Filter { event_types: vec!["trace".into()], where_sql: "event_name = 'GET /item/9'".into(), ..Filter::default() },
        Filter { service_names: vec!["shop".into()], topics: vec!["trace.GET__item_9".into()], ..Filter::default() },
    ];
    for filter in cases {
        let (mut seen, mut stream) = (0, client.subscribe(filter.clone(), Start::Earliest));
        while seen < 40 {
            let item = tokio::time::timeout(DEADLINE, stream.next()).await.unwrap_or_else(|_late| panic!("{seen} of {filter:?}"));
            let item = item.expect("does not end").expect("without a hole");
            assert!(item.events.iter().all(|(_, event)| nines(event.event_name.as_deref().expect("a name"))), "{filter:?}");
            seen += item.events.len();
        }
        assert_eq!(seen, 40, "{filter:?}");
    }
    // The tenant's events are all in one shard: whatever is told before the only log would be of another type.
    let logs = Filter { event_types: vec!["log".into()], ..Filter::default() };
    let mut stream = client.subscribe(logs, Start::Earliest);
    send(&server.grpc, 400, 20).await;
    client.publish(log()).await.expect("acknowledged");
    let mut seen = Seen::default();
    seen.until(&mut stream, 1).await;
    assert_eq!(seen.ids, BTreeSet::from(["the log".to_owned()]));

    let mut others = Seen::default();
    let mut stream = client.clone().with_tenant("other").expect("a name").subscribe(Filter::default(), Start::Earliest);
    others.until(&mut stream, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_time_that_only_the_lake_remembers() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    let client = server.client().await;
    send(&server.grpc, 0, 200).await;
    trimmed(&client).await;
    send(&server.grpc, 200, 40).await;
    // Spans are a millisecond apart.
    let from_us = 1_760_000_000_000_000 + 150 * 1_000;
    let late = format!("SELECT count(*) FROM events WHERE timestamp >= to_timestamp_micros({from_us})");
    let expected = u64::try_from(number(&client, &late).await).expect("small");
    assert_eq!(expected, 90);
    let mut seen = Seen::default();
    seen.until(&mut client.subscribe(Filter::default(), Start::TimestampUs(from_us)), expected).await;
    // Trimmed altogether, and from a time behind all of it.
    trimmed(&client).await;
    let mut stream = client.subscribe(Filter::default(), Start::TimestampUs(from_us + 1_000_000));
    let mut seen = Seen::default();
    let ahead = spans(10_000, 20);
    Exporter::connect(&server.grpc).await.traces(ahead).await.expect("acknowledged");
    seen.until(&mut stream, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_and_curl_read_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    let client = server.client().await;
    send(&server.grpc, 0, 100).await;
    trimmed(&client).await;
    send(&server.grpc, 100, 20).await;
    let mut expected = Seen::default();
    expected.until(&mut client.subscribe(Filter::default(), Start::Earliest), 120).await;

    let ids = |message: &Value| -> Vec<String> {
        let events = message["events"].as_array().cloned().unwrap_or_default();
        events.iter().map(|event| event["id"].as_str().expect("an id").to_owned()).collect()
    };
    let address = format!("{}/v1/stream", server.http.replacen("http", "ws", 1));
    let mut socket = connect_async(address).await.expect("connects").0;
    let subscribe = r#"{"type":"subscribe","from":"earliest"}"#;
    futures::SinkExt::send(&mut socket, tokio_tungstenite::tungstenite::Message::text(subscribe)).await.expect("sends");
    let mut by_socket = BTreeSet::new();
    while by_socket.len() < 120 {
        let frame =
            tokio::time::timeout(DEADLINE, socket.next()).await.expect("it says something").expect("open").expect("whole");
        let message: Value = serde_json::from_str(frame.to_text().expect("text")).expect("JSON");
        assert_ne!(message["type"], "gap");
        ids(&message).into_iter().for_each(|id| assert!(by_socket.insert(id), "none twice"));
    }
    assert_eq!(by_socket, expected.ids);

    let mut by_events = BTreeSet::new();
    let mut stream = curl::Lines::open(&format!("{}/v1/stream?from=earliest", server.http));
    while by_events.len() < 120 {
        if let Some(data) = stream.next_line().strip_prefix("data: ") {
            let message: Value = serde_json::from_str(data).expect("JSON");
            ids(&message).into_iter().for_each(|id| assert!(by_events.insert(id), "none twice"));
        }
    }
    assert_eq!(by_events, expected.ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_any_node_reads_the_lake_of_all() {
    let dir = tempfile::tempdir().expect("a folder");
    let cluster =
        Cluster::start_with(dir.path(), 3, &[TRIMS, ("WATERSHED_HOT_RETENTION", "1s"), ("WATERSHED_FLUSH_INTERVAL", "1s")]);
    send(&cluster.node(0).grpc, 0, 400).await;
    for place in 0..3 {
        trimmed(&cluster.node(place).client().await).await;
    }
    send(&cluster.node(1).grpc, 400, 100).await;
    for place in 0..3 {
        let mut seen = Seen::default();
        let mut stream = cluster.node(place).client().await.subscribe(Filter::default(), Start::Earliest);
        seen.until(&mut stream, 500).await;
    }
}
