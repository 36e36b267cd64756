//! Long questions of analytics: how far they are is told at every face, and who hangs up ends the work on all nodes.

use std::time::Duration;

use serde_json::{Value, json};
use watershed_client::{Client, Progress};
use watershed_tests::cluster::Cluster;
use watershed_tests::otlp::{Exporter, spans, text};
use watershed_tests::server::Server;
use watershed_tests::{curl, until};

/// Spans of a request, and bytes of each: some requests are a page.
const SPANS: u64 = 10;
const SPAN_BYTES: usize = 40_000;
const REQUESTS: u64 = 80;
/// A page takes its time; the whole answer some seconds.
const SLOW: (&str, &str) = ("FAILPOINTS", "hot_tier::page=return(400)");
const JSON: &str = "Content-Type: application/json";
const EVENTS: &str = "Accept: text/event-stream";

/// Texts that no compression makes shorter.
async fn send(endpoint: &str) {
    let exporter = Exporter::connect(endpoint).await;
    let mut state = 1_u64;
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}")
    };
    for request in 0..REQUESTS {
        let mut request = spans(request * SPANS, SPANS);
        for span in &mut request.resource_spans[0].scope_spans[0].spans {
            span.attributes.push(text("filler", &(0..SPAN_BYTES / 16).map(|_| word()).collect::<String>()));
        }
        exporter.until_taken(request).await;
    }
}

/// Pages that were read, slices that were aggregated for other nodes, and pages that these were sent, on all nodes.
fn work(cluster: &Cluster) -> [f64; 3] {
    let count = |name: &str| cluster.nodes.iter().flatten().map(|node| node.metric(name)).sum();
    ["watershed_query_pages_total", "watershed_peer_partials_total", "watershed_peer_scans_total"].map(count)
}

/// What was done since.
fn since(cluster: &Cluster, before: [f64; 3]) -> [f64; 3] {
    let now = work(cluster);
    std::array::from_fn(|kind| now[kind] - before[kind])
}

/// A node that has no replica of some shard, once none is moved any more.
async fn lacking(cluster: &Cluster) -> usize {
    let settled = cluster.settled(0).await;
    let leaders: Vec<_> = settled.replicas.iter().filter(|one| one.shard.is_some() && one.leader == one.node).collect();
    for (place, node) in cluster.nodes.iter().flatten().enumerate() {
        let number = node.client().await.status().await.expect("answers").node;
        if leaders.iter().any(|one| !one.voters.contains(&number)) {
            return place;
        }
    }
    panic!("four nodes have three replicas each: {leaders:?}");
}

fn question() -> Value {
    json!({ "event": "", "by": "event_name" })
}

async fn answered(client: &Client) -> f64 {
    let answer = client.track("").by("event_name").await.expect("an answer");
    answer.points.iter().filter_map(|point| point.value).sum()
}

/// The next event of a kind, and its data.
fn next(lines: &mut curl::Lines) -> (String, Value) {
    loop {
        if let Some(word) = lines.next_line().strip_prefix("event: ") {
            let word = word.to_owned();
            let data = lines.next_line();
            let data = data.strip_prefix("data: ").unwrap_or_else(|| panic!("{word}: {data}"));
            return (word, serde_json::from_str(data).expect("JSON"));
        }
    }
}

fn watched(server: &Server) -> curl::Lines {
    curl::Lines::post(&format!("{}/v1/analytics/track", server.http), &[JSON, EVENTS], &question().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_ends_the_work_on_all_nodes() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = [SLOW, ("WATERSHED_HIGH_VOLUME_TENANTS", "default"), ("WATERSHED_FLUSH_INTERVAL", "1h")];
    // When all four are in, each lacks replicas of some shards: others aggregate these.
    let cluster = Cluster::start_with(dir.path(), 4, &settings);
    let asker = cluster.node(lacking(&cluster).await);
    let client = asker.client().await;
    send(&cluster.node(0).grpc).await;
    until("it answers", async || client.track("").by("event_name").await.is_ok()).await;
    let before = work(&cluster);
    assert_eq!(answered(&client).await, (REQUESTS * SPANS) as f64);
    let [pages, slices, scans] = since(&cluster, before);
    assert!(pages >= 16.0 && slices >= 2.0, "{pages} pages, {slices} slices of other nodes");
    assert!(scans < 1.0, "no events travel, only what they amount to");

    let began = work(&cluster);
    let mut lines = watched(asker);
    let (word, progress) = next(&mut lines);
    assert_eq!(word, "progress");
    assert!(progress["hot_events_planned"].as_u64() >= Some(REQUESTS * SPANS), "{progress}");
    drop(lines);
    // As long as the work that was cut off would have taken.
    assert_eq!(answered(&client).await, (REQUESTS * SPANS) as f64);
    let [both, both_slices, _] = since(&cluster, began);
    let (cut, cut_slices) = (both - pages, both_slices - slices);
    assert!(cut < pages / 2.0 && cut_slices < slices, "{cut} of {pages} pages were read, {cut_slices} of {slices} slices");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_how_far_an_answer_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start_with(dir.path(), &["--flush-interval", "1h"], &[SLOW]).expect("starts");
    send(&server.grpc).await;
    let mut lines = watched(&server);
    let mut told = Vec::new();
    let answer = loop {
        match next(&mut lines) {
            (word, progress) if word == "progress" => told.push(progress["hot_events"].as_u64().expect("a number")),
            (word, answer) => break (word, answer),
        }
    };
    assert!(told.len() > 2 && told.is_sorted() && told[0] < REQUESTS * SPANS && told[told.len() - 1] > 0, "{told:?}");
    let plain = curl::post(&format!("{}/v1/analytics/track", server.http), &[JSON], question().to_string().as_bytes());
    let plain: Value = serde_json::from_str(&plain.body).expect("JSON");
    assert_eq!((answer.0.as_str(), &answer.1["points"]), ("answer", &plain["points"]));

    let (tell, heard) = std::sync::mpsc::channel::<Progress>();
    let tell = std::sync::Mutex::new(tell);
    let client = server.client().await;
    let watch = move |progress: &Progress| tell.lock().expect("whole").send(*progress).expect("is heard");
    let answer = client.track("").by("event_name").on_progress(watch).await.expect("an answer");
    assert_eq!(answer.points.iter().filter_map(|point| point.value).sum::<f64>(), (REQUESTS * SPANS) as f64);
    let heard: Vec<_> = heard.try_iter().collect();
    let last = heard.last().expect("it took its time");
    assert!(last.hot_events_planned >= REQUESTS * SPANS && last.elapsed_ms >= 500 && last.lake_files_planned == 0, "{last:?}");

    // In the lake: a file at least, all of whose rows are planned, and nothing of the hot tier.
    let nobody = server.client().await.with_tenant("nobody").expect("a name");
    nobody.delete_rows(None).await.expect("archives first");
    let refused = client.funnel("1h").on_progress(|_| {}).await.expect_err("no steps").to_string();
    assert!(refused.contains("steps: "), "{refused}");
    let bad = curl::Lines::post(&format!("{}/v1/analytics/track", server.http), &[JSON, EVENTS], r#"{"every":"year"}"#);
    let (word, error) = next(&mut { bad });
    assert_eq!((word.as_str(), &error["code"]), ("error", &json!(3)));
    tokio::time::timeout(Duration::from_secs(30), client.track("")).await.expect("in time").expect("an answer from the lake");
}
