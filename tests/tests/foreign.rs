//! Real exporters that nobody here wrote: every record they sent is found by SQL and by subscription.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use futures::TryStreamExt as _;
use serde_json::Value;
use watershed_client::{Client, Filter, Start};
use watershed_tests::server::Server;
use watershed_tests::{number, target, texts};

const COUNT: usize = 200;

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("foreign").join(name)
}

/// Runs a sender to its end; what it printed.
fn send(command: &mut Command) -> Value {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: run `cargo xtask prepare`"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("rror"), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the sender prints JSON")
}

fn python(protocol: &str, endpoint: &str) -> Value {
    let python = target().join("foreign/python/bin/python");
    send(Command::new(python).arg(script("send_otlp.py")).args([protocol, endpoint, &COUNT.to_string()]))
}

fn node(protocol: &str, endpoint: &str) -> Value {
    let folder = target().join("foreign/node");
    send(Command::new("node").current_dir(folder).arg(script("send_otlp.mjs")).args([protocol, endpoint, &COUNT.to_string()]))
}

/// `trace/span` of every span that was sent.
fn sent_spans(sent: &Value) -> BTreeSet<String> {
    let spans = sent["spans"].as_array().expect("spans");
    spans.iter().map(|ids| format!("{}/{}", ids[0].as_str().expect("a trace"), ids[1].as_str().expect("a span"))).collect()
}

async fn stored_spans(client: &Client, service: &str) -> BTreeSet<String> {
    let sql = format!("SELECT trace_id || '/' || span_id FROM events WHERE event_type = 'trace' AND service_name = '{service}'");
    let found = texts(client, &sql).await;
    let spans: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(spans.len(), found.len(), "each once");
    spans
}

/// Ids of `count` spans of a service, as a subscriber gets them from the start.
async fn followed_spans(client: &Client, service: &str, count: usize) -> BTreeSet<String> {
    let filter = Filter { topics: vec!["trace.**".into()], service_names: vec![service.into()], ..Filter::default() };
    let mut stream = client.subscribe(filter, Start::Earliest);
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let item = stream.try_next().await.expect("follows").expect("does not end");
        for (_, event) in item.events {
            let id = format!("{}/{}", event.trace_id.expect("a trace"), event.span_id.expect("a span"));
            assert!(seen.insert(id), "each once");
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_over_grpc_and_http() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let client = server.client().await;
    for (protocol, endpoint) in [("grpc", &server.grpc), ("http", &server.http)] {
        let (sent, service) = (python(protocol, endpoint), format!("shop-{protocol}"));
        let spans = sent_spans(&sent);
        assert_eq!(spans.len(), 2 * COUNT);
        assert_eq!(stored_spans(&client, &service).await, spans);
        assert_eq!(followed_spans(&client, &service, spans.len()).await, spans);
        python_columns(&client, &service, &sent).await;
    }
}

/// What the sender said, column by column.
async fn python_columns(client: &Client, service: &str, sent: &Value) {
    let of = |what: &str| format!("SELECT {what} FROM events WHERE service_name = '{service}'");
    let parents = of("count(*)") + " AND event_name = 'checkout' AND is_root AND http_method = 'POST' AND duration_ms >= 0";
    assert_eq!(number(client, &parents).await, COUNT as i64);
    let children = of("count(*)")
        + " AND event_name = 'charge' AND NOT is_root AND db_system = 'postgresql' AND parent_id IS NOT NULL AND data LIKE '%retried%'";
    assert_eq!(number(client, &children).await, COUNT as i64);
    assert_eq!(number(client, &(of("count(*)") + " AND attributes LIKE '%\"vip\":true%'")).await, COUNT as i64 / 2);
    let mut bodies =
        texts(client, &(of("log_message") + " AND event_type = 'log' AND log_level = 'info' AND trace_id IS NOT NULL")).await;
    let mut said: Vec<_> =
        sent["logs"].as_array().expect("logs").iter().map(|body| body.as_str().expect("text").to_owned()).collect();
    bodies.sort_unstable();
    said.sort_unstable();
    assert_eq!(bodies, said);
    let orders = of("count(*)")
        + &format!(" AND metric_name = 'orders' AND metric_type = 'counter' AND metric_value = {}", sent["orders"]);
    assert_eq!(number(client, &orders).await, 1);
    let latency =
        of("count(*)") + &format!(" AND metric_name = 'latency' AND metric_type = 'histogram' AND metric_count = {COUNT}");
    assert_eq!(number(client, &latency).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_sdk_over_grpc_protobuf_and_json() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let client = server.client().await;
    for (protocol, endpoint) in [("grpc", &server.grpc), ("proto", &server.http), ("http", &server.http)] {
        let (spans, service) = (sent_spans(&node(protocol, endpoint)), format!("node-{protocol}"));
        assert_eq!(spans.len(), COUNT);
        assert_eq!(stored_spans(&client, &service).await, spans);
        assert_eq!(followed_spans(&client, &service, spans.len()).await, spans);
        let errors = format!(
            "SELECT count(*) FROM events WHERE service_name = '{service}' AND outcome = 'error' AND data LIKE '%no stock%' AND http_url LIKE 'http://shop/%'"
        );
        assert_eq!(number(&client, &errors).await, COUNT.div_ceil(3) as i64);
    }
}
