//! `/v1/stream`: WebSocket and server-sent events, by clients that nobody here wrote, over connections that are cut.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::server::Server;
use watershed_tests::{curl, target, texts};

const COUNT: u64 = 2_000;
const CUTS: u64 = 5;

/// Runs a script that follows while `COUNT` spans are sent; what it said.
async fn followed(server: &Server, folder: &str, script: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign").join(script);
    let mut node = Command::new("node");
    node.current_dir(target().join("foreign").join(folder)).arg(path);
    node.args([&server.http, &COUNT.to_string(), &CUTS.to_string()]).stdout(Stdio::piped());
    let script = node.spawn().unwrap_or_else(|error| panic!("{error}: run `cargo xtask prepare`"));
    let exporter = Exporter::connect(&server.grpc).await;
    for batch in 0..COUNT / 20 {
        exporter.traces(spans(batch * 20, 20)).await.expect("acknowledged");
    }
    let output = tokio::task::spawn_blocking(|| script.wait_with_output()).await.expect("waits").expect("ends");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

async fn stored(server: &Server) -> BTreeSet<String> {
    texts(&server.client().await, "SELECT id FROM events").await.into_iter().collect()
}

fn each_once(seen: &Value, stored: &BTreeSet<String>) {
    let seen: Vec<String> = serde_json::from_value(seen.clone()).expect("texts");
    assert_eq!(seen.len() as u64, COUNT, "none twice");
    assert_eq!(&seen.into_iter().collect::<BTreeSet<_>>(), stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_is_cut_again_and_again_misses_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let said = followed(&server, "node", "follow.mjs").await;
    assert_eq!(said["cuts"], CUTS, "{}", said["connections"]);
    each_once(&said["seen"], &stored(&server).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_loses_the_network_comes_back_and_misses_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let said = followed(&server, "browser", "browser/stream.mjs").await;
    assert_eq!(said["cuts"], json!([CUTS, CUTS]));
    assert_eq!(said["gaps"], 0);
    let stored = stored(&server).await;
    each_once(&said["socket"], &stored);
    each_once(&said["events"], &stored);
}

/// A WebSocket, and what is said on it.
struct Socket(WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>);

impl Socket {
    async fn open(server: &Server, query: &str) -> Self {
        let address = format!("{}/v1/stream{query}", server.http.replacen("http", "ws", 1));
        let mut socket = Self(connect_async(address).await.expect("connects").0);
        assert_eq!(socket.hear().await, json!({ "type": "connected" }));
        socket
    }

    async fn say(&mut self, what: Value) {
        self.0.send(Message::text(what.to_string())).await.expect("sends");
    }

    async fn hear(&mut self) -> Value {
        let frame = tokio::time::timeout(std::time::Duration::from_secs(30), self.0.next()).await.expect("it says something");
        match frame.expect("open").expect("whole") {
            Message::Text(text) => serde_json::from_str(text.as_str()).expect("JSON"),
            other => panic!("{other:?}"),
        }
    }

    /// The answer to a message that is refused.
    async fn refused(&mut self, what: Value) -> String {
        self.say(what).await;
        let heard = self.hear().await;
        assert_eq!((&heard["type"], &heard["code"]), (&json!("error"), &json!("invalid")), "{heard}");
        heard["message"].as_str().expect("a text").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_socket_carries_subscriptions_that_come_and_go() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let exporter = Exporter::connect(&server.grpc).await.with_tenant("shop");
    let mut socket = Socket::open(&server, "?tenant=shop").await;
    socket.say(json!({ "type": "ping" })).await;
    assert_eq!(socket.hear().await, json!({ "type": "pong" }));
    for (id, topic, condition) in [
        ("nine", "trace.*", "event_name LIKE '%9' AND duration_ms > 0"),
        ("never", "trace.*", "duration_ms > 1e9"),
        ("none", "log.**", ""),
    ] {
        socket.say(json!({ "type": "subscribe", "id": id, "topics": [topic], "filter": { "where": condition } })).await;
        let heard = socket.hear().await;
        assert_eq!((&heard["type"], &heard["id"]), (&json!("subscribed"), &json!(id)), "{heard}");
    }
    exporter.traces(spans(0, 20)).await.expect("acknowledged");
    let heard = socket.hear().await;
    let names: Vec<_> =
        heard["events"].as_array().expect("events").iter().map(|event| event["event_name"].as_str().expect("a name")).collect();
    assert_eq!((&heard["id"], names), (&json!("nine"), vec!["GET /item/9", "GET /item/9"]));
    assert_eq!(heard["events"][0]["attributes"]["n"], "9");
    socket.say(json!({ "type": "unsubscribe", "id": "nine" })).await;
    assert_eq!(socket.hear().await, json!({ "type": "unsubscribed", "id": "nine" }));
    // What came meanwhile is there from the token on, under another name.
    exporter.traces(spans(20, 20)).await.expect("acknowledged");
    let same = json!({ "where": "event_name LIKE '%9' AND duration_ms > 0" });
    socket.say(json!({ "type": "subscribe", "topics": ["trace.*"], "filter": same, "from": heard["token"] })).await;
    assert_eq!(socket.hear().await["id"], "1");
    assert_eq!(socket.hear().await["events"].as_array().expect("events").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_socket_says_wrong_is_named_and_it_stays_open() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &["--shards", "1"]);
    let mut socket = Socket::open(&server, "").await;
    for (said, named) in [
        (json!({ "type": "sing" }), "message: unknown variant `sing`"),
        (json!({ "type": "subscribe", "colour": 1 }), "message: unknown field `colour`"),
        (json!({ "type": "subscribe", "topics": ["a..b"] }), "filter.topics: CONSECUTIVE_DOTS"),
        (json!({ "type": "subscribe", "filter": { "event_types": ["x"] } }), "filter.event_types: `x`"),
        (json!({ "type": "subscribe", "filter": { "where": "colour = 1" } }), "filter.where_sql: invalid SQL"),
        (json!({ "type": "subscribe", "from": "last week" }), "from: `last week`"),
        (json!({ "type": "subscribe", "from": "AAEC" }), "resume_token: too short"),
        (json!({ "type": "subscribe", "id": "x".repeat(65) }), "id has 65 bytes, limit 64"),
        (json!({ "type": "unsubscribe", "id": "x" }), "id: there is no subscription `x`"),
    ] {
        let message = socket.refused(said).await;
        assert!(message.starts_with(named), "{message}");
    }
    socket.say(json!({ "type": "subscribe", "id": "x" })).await;
    assert_eq!(socket.hear().await["type"], "subscribed");
    assert!(socket.refused(json!({ "type": "subscribe", "id": "x" })).await.contains("there is a subscription `x` already"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_acknowledges_is_sent_a_window() {
    const WINDOW: usize = 20 << 10;
    let dir = tempfile::tempdir().expect("a folder");
    let window = WINDOW.to_string() + "B";
    let server = Server::start_with(dir.path(), &[], &[("WATERSHED_STREAMS_WINDOW", &window)]).expect("starts");
    let exporter = Exporter::connect(&server.grpc).await;
    let mut socket = Socket::open(&server, "").await;
    socket.say(json!({ "type": "subscribe", "acks": true })).await;
    let mut heard = vec![socket.hear().await];
    for batch in 0..10 {
        exporter.traces(spans(batch * 20, 20)).await.expect("acknowledged");
    }
    let bytes = |heard: &[Value]| heard.iter().map(|message| message.to_string().len()).sum::<usize>();
    let events = |heard: &[Value]| heard.iter().filter_map(|message| message["events"].as_array()).map(Vec::len).sum::<usize>();
    while bytes(&heard) < WINDOW {
        heard.push(socket.hear().await);
    }
    socket.say(json!({ "type": "ping" })).await;
    assert_eq!(socket.hear().await["type"], "pong", "nothing else until something is acknowledged");
    assert!(events(&heard) < 200);
    while events(&heard) < 200 {
        socket.say(json!({ "type": "ack", "token": heard.last().expect("there are some")["token"] })).await;
        heard.push(socket.hear().await);
    }
    assert_eq!(events(&heard), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_drains_says_where_to_go_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let mut socket = Socket::open(&server, "").await;
    socket.say(json!({ "type": "subscribe", "id": "all" })).await;
    let token = socket.hear().await["token"].clone();
    server.terminate();
    assert_eq!(socket.hear().await, json!({ "type": "shutdown", "tokens": { "all": token } }));
    let Some(Ok(Message::Close(Some(close)))) = socket.0.next().await else { panic!("no close") };
    assert_eq!(close.code, CloseCode::Away);
    assert!(server.ended().success());
    let server = Server::start(dir.path(), &[]);
    Exporter::connect(&server.grpc).await.traces(spans(0, 3)).await.expect("acknowledged");
    let mut socket = Socket::open(&server, "").await;
    socket.say(json!({ "type": "subscribe", "from": token })).await;
    assert_eq!(socket.hear().await["type"], "subscribed");
    assert_eq!(socket.hear().await["events"].as_array().expect("events").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_reads_server_sent_events_and_goes_on_behind_the_last() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &["--shards", "1"]);
    let exporter = Exporter::connect(&server.grpc).await;
    exporter.traces(spans(0, 20)).await.expect("acknowledged");
    let url = format!("{}/v1/stream?topic=trace.GET__item_9&from=earliest", server.http);
    let first = events(&url, 2, &[]);
    assert_eq!(first.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["subscribed", "events"]);
    assert_eq!(first[1].data["events"].as_array().expect("events").len(), 2);
    assert_eq!(first[1].data["token"], first[1].id);
    exporter.traces(spans(20, 10)).await.expect("acknowledged");
    let next = events(&url, 2, &["--header", &format!("Last-Event-ID: {}", first[1].id)]);
    assert_eq!(next[1].data["events"].as_array().expect("events").len(), 1);
    for (query, named) in [
        ("topic=a..b", "CONSECUTIVE_DOTS"),
        ("colour=red", "`colour`"),
        ("on_lag=x", "on_lag"),
        ("tenant=%20", "tenant"),
        ("where=id%20%3D", "Column: "),
        ("every=1s", "every: is of a live query"),
        ("sql=SELECT%20count(*)%20FROM%20events&every=x", "every: "),
        ("sql=SELECT%201", "FROM anything but one table is not allowed"),
    ] {
        let answer = curl::get(&format!("{}/v1/stream?{query}", server.http));
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        assert!(answer.body.contains(named), "{answer:?}");
    }
}

struct Event {
    kind: String,
    id: String,
    data: Value,
}

/// The first `count` events; who waits in vain is ended after a minute.
fn events(url: &str, count: usize, options: &[&str]) -> Vec<Event> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--no-buffer", "--max-time", "60", url]).args(options).stdout(Stdio::piped());
    let mut curl = curl.spawn().expect("curl");
    let lines = BufReader::new(curl.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let mut blocks = vec![String::new()];
    for line in lines {
        if !line.is_empty() {
            blocks.last_mut().expect("there is one").extend([line.as_str(), "\n"]);
        } else if blocks.iter().filter(|block| block.contains("data: ")).count() == count {
            break;
        } else {
            blocks.push(String::new());
        }
    }
    curl.kill().expect("it runs");
    curl.wait().expect("it ends");
    let event = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        Event { kind: field("event: "), id: field("id: "), data: serde_json::from_str(&field("data: ")).expect("JSON") }
    };
    blocks.iter().filter(|block| block.contains("data: ")).map(|block| event(block)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_have_a_limit_that_says_when_to_come_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start_with(dir.path(), &[], &[("WATERSHED_STREAMS_MAX_PER_TENANT", "1")]).expect("starts");
    let mut first = Socket::open(&server, "").await;
    first.say(json!({ "type": "subscribe" })).await;
    assert_eq!(first.hear().await["type"], "subscribed");
    let refused = curl::get(&format!("{}/v1/stream", server.http));
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")), "{refused:?}");
    assert!(refused.body.contains("this tenant has 1 open, limit 1"), "{refused:?}");
    first.say(json!({ "type": "unsubscribe", "id": "1" })).await;
    assert_eq!(first.hear().await["type"], "unsubscribed");
    first.say(json!({ "type": "subscribe" })).await;
    assert_eq!(first.hear().await["type"], "subscribed");
}
