//! Live queries over connections that are cut: at every face, on another node, each window once with all its events.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::{SinkExt as _, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use watershed_client::{LiveQuery, Start};
use watershed_tests::cluster::Cluster;
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::server::Server;
use watershed_tests::{answered, curl, number};

const SQL: &str = "SELECT event_name, count(*) AS n FROM events WHERE event_name <> 'GET /item/3' GROUP BY event_name";
const EVERY: Duration = Duration::from_secs(1);
const LATENESS: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(60);
const BATCHES: u64 = 100;
/// Spans of 100 batches are ten seconds; nine of ten names count.
const EVENTS: i64 = 9_000;

/// Rows by window and name, and the token behind them.
#[derive(Debug, Default)]
struct Seen {
    counts: BTreeMap<(String, String), i64>,
    token: String,
}

impl Seen {
    fn events(&self) -> i64 {
        self.counts.values().sum()
    }

    /// Whether there were rows.
    fn take(&mut self, said: &Value) -> bool {
        assert_eq!((&said["late"], &said["lost"]), (&json!(0), &json!(0)), "{said}");
        said["token"].as_str().expect("a token").clone_into(&mut self.token);
        let rows = said["rows"].as_array().expect("rows");
        for row in rows {
            let text = |key: &str| row[key].as_str().expect("a text").to_owned();
            let before = self.counts.insert((text("window_start"), text("event_name")), row["n"].as_i64().expect("a number"));
            assert_eq!(before, None, "each window is told once: {row}");
        }
        !rows.is_empty()
    }

    fn from(&self) -> &str {
        if self.token.is_empty() { "earliest" } else { &self.token }
    }

    async fn by_socket(&mut self, server: &Server) {
        let address = format!("{}/v1/stream", server.http.replacen("http", "ws", 1));
        let mut socket = connect_async(address).await.expect("connects").0;
        let subscribe =
            json!({ "type": "subscribe", "id": "q", "sql": SQL, "every": "1s", "lateness": "4s", "from": self.from() });
        socket.send(Message::text(subscribe.to_string())).await.expect("sends");
        loop {
            let frame =
                tokio::time::timeout(PATIENCE, socket.next()).await.expect("it says something").expect("open").expect("whole");
            let said: Value = serde_json::from_str(frame.to_text().expect("text")).expect("JSON");
            match said["type"].as_str().expect("a type") {
                "connected" => {}
                "subscribed" => assert_eq!(said["id"], "q"),
                "rows" if self.take(&said) => return,
                "rows" => {}
                _ => panic!("{said}"),
            }
        }
    }

    fn by_events(&mut self, server: &Server) {
        let sql: String = url_encoded(SQL);
        let query = format!("sql={sql}&every=1s&lateness=4s&from={}", self.from());
        let mut lines = curl::Lines::open(&format!("{}/v1/stream?{query}", server.http));
        loop {
            let line = lines.next_line();
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let said: Value = serde_json::from_str(data).expect("JSON");
            if said["type"] == "rows" && self.take(&said) {
                return;
            }
            assert_ne!(said["type"], "error", "{said}");
        }
    }

    async fn by_grpc(&mut self, server: &Server) {
        let start: Start = self.from().parse().expect("a start");
        let query = LiveQuery { every: EVERY, lateness: LATENESS, start, ..LiveQuery::new(SQL) };
        let client = server.client().await;
        let mut live = answered(async || client.live(query.clone()).await).await;
        loop {
            let told = tokio::time::timeout(PATIENCE, live.try_next()).await.expect("something comes").expect("goes on");
            let told = told.expect("does not end");
            let mut rows = arrow::json::ArrayWriter::new(Vec::new());
            told.windows.iter().try_for_each(|window| rows.write(window)).and_then(|()| rows.finish()).expect("JSON");
            let rows: Value = serde_json::from_slice(&rows.into_inner()).unwrap_or_else(|_empty| json!([]));
            let token = URL_SAFE_NO_PAD.encode(&told.resume_token);
            if self.take(&json!({ "rows": rows, "late": told.late, "lost": told.lost, "token": token })) {
                return;
            }
        }
    }
}

fn url_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Sends all batches, one after the other, through the nodes in turn. The second second of two comes before the first, so that
/// events of a window stand behind those of the next: who resumes reads them again when their window was told.
async fn send(endpoints: Vec<String>) {
    for batch in (0..BATCHES).map(|place| place / 20 * 20 + (place + 10) % 20) {
        let endpoint = &endpoints[usize::try_from(batch).expect("small") % endpoints.len()];
        Exporter::connect(endpoint).await.until_taken(spans(batch * 100, 100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_cut_after_each_window_and_no_event_is_lost_or_counted_twice() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start_with(dir.path(), &[], &[("WATERSHED_HIGH_VOLUME_TENANTS", "default")]).expect("starts");
    let (sending, mut seen) = (tokio::spawn(send(vec![server.grpc.clone()])), Seen::default());
    for face in (0..3).cycle() {
        match face {
            0 => seen.by_socket(&server).await,
            1 => tokio::task::block_in_place(|| seen.by_events(&server)),
            _ => seen.by_grpc(&server).await,
        }
        if seen.events() == EVENTS {
            break;
        }
    }
    sending.await.expect("sent");
    assert_eq!(seen.counts.len(), 10 * 9, "ten seconds, nine names: {:?}", seen.counts);
    assert!(seen.counts.values().all(|count| *count == 100), "{:?}", seen.counts);
    let client = server.client().await;
    assert!(number(&client, "SELECT count(DISTINCT _shard) FROM events").await > 1, "they are of several shards");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_goes_on_where_one_was_killed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::start_with(dir.path(), 3, &[("WATERSHED_HIGH_VOLUME_TENANTS", "default")]);
    let mut seen = Seen::default();
    send((0..3).map(|place| cluster.node(place).grpc.clone()).collect()).await;
    seen.by_socket(cluster.node(0)).await;
    let told = seen.counts.len();
    assert!(seen.events() < EVENTS, "windows are open");
    cluster.kill(0);
    while seen.events() < EVENTS {
        seen.by_grpc(cluster.node(1)).await;
    }
    assert!(told < seen.counts.len() && seen.counts.values().all(|count| *count == 100), "{:?}", seen.counts);
}
