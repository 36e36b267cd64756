//! Every source through the real doors: HTTP, browsers, gRPC, and Segment's own library.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use watershed_client::Client;
use watershed_sample::Random;
use watershed_schema::{BatchBuilder, Column, EventBatch, TenantId};
use watershed_tests::otlp::{self, Exporter};
use watershed_tests::server::Server;
use watershed_tests::{curl, number, target, texts};

/// What `watershed` prints.
fn watershed(arguments: &[&str]) -> String {
    let output = Command::new(target().join("debug/watershed")).args(arguments).output().expect("the binary runs");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Name, first path and example of every source that takes JSON.
fn json_sources() -> Vec<(String, String, String)> {
    let list = watershed(&["sources"]);
    let mut sources = Vec::new();
    for line in list.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        let (name, path) = (words.next().expect("a name"), words.next().expect("a path"));
        if name != "otel" {
            let example = watershed(&["sources", &name, "--example"]);
            sources.push((name, path, example));
        }
    }
    sources
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_of_all_sources_are_rows_of_one_table_and_a_retry_adds_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let client = server.client().await;
    for (name, path, example) in json_sources() {
        let count = format!("SELECT count(*) FROM events WHERE event_source = '{name}'");
        let mut stored = Vec::new();
        for _ in 0..2 {
            let answer = curl::post(&format!("{}{path}", server.http), &["Content-Type: application/json"], example.as_bytes());
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
            let said: Value = serde_json::from_str(&answer.body).expect("JSON");
            assert_eq!((said["rejected"].as_i64(), said["accepted"].as_i64() > Some(0)), (Some(0), true), "{name}: {said}");
            stored.push(number(&client, &count).await);
        }
        assert!(stored[0] > 0 && stored[0] == stored[1], "{name}: {stored:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_is_named_and_the_rest_is_stored() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let client = server.client().await;
    let batch = br#"{"batch":[{"type":"track","userId":"u","event":"good"},{"type":"track","event":"nobody"}]}"#;
    let answer = curl::post(&format!("{}/v1/batch", server.http), &[], batch);
    let said: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(
        (answer.status, &said["success"], &said["accepted"], &said["rejected"]),
        (200, &true.into(), &1.into(), &1.into())
    );
    assert_eq!((&said["rejects"][0]["record"], &said["rejects"][0]["field"]), (&1.into(), &"userId".into()));
    for (path, body, reason) in [
        ("/v1/track", &br#"{"event":"nobody"}"#[..], "userId"),
        ("/v1/track", b"{\"event\":", "line 1 column 9"),
        ("/v1/track", &vec![b' '; 600 * 1024], "limit 512000"),
    ] {
        let refused = curl::post(&format!("{}{path}", server.http), &[], body);
        assert!(refused.status == 400 && refused.body.contains(reason), "{refused:?}");
        assert!(refused.body.contains("\"success\":false"), "{refused:?}");
    }
    assert_eq!(texts(&client, "SELECT event_name FROM events").await, ["good"]);
}

/// Headers that a browser sends with a request from a page of another origin.
const ORIGIN: &str = "Origin: https://shop.example";

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_origin_may_send_where_browsers_do() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let track = format!("{}/v1/track", server.http);
    let preflight = curl::options(
        &track,
        &[ORIGIN, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type,authorization"],
    );
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://shop.example"), "{preflight:?}");
    assert_eq!(preflight.header("access-control-allow-credentials"), Some("true"));
    assert!(preflight.header("access-control-allow-headers").expect("allowed").contains("authorization"));
    let beacon = br#"{"anonymousId":"a","event":"Clicked"}"#;
    let answer = curl::post(&track, &[ORIGIN, "Content-Type: text/plain;charset=UTF-8"], beacon);
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("https://shop.example")), "{answer:?}");
    let allowed = |path: &str| {
        let preflight = curl::options(&format!("{}{path}", server.http), &[ORIGIN, "Access-Control-Request-Method: POST"]);
        preflight.header("access-control-allow-origin").is_some()
    };
    assert!(["/v1/vitals", "/v1/replay", "/v1/snippet", "/v1/batch"].into_iter().all(allowed), "browsers send there");
    assert!(!["/v1/traces", "/v1/cdc", "/v1/tail", "/v1/events", "/v1/actions"].into_iter().any(allowed), "nor there");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_may_be_compressed_and_belong_to_the_tenant_of_their_header() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let headers = ["Content-Encoding: gzip", "X-Scope-OrgID: acme"];
    for (name, path, example) in json_sources() {
        let answer = curl::post(&format!("{}{path}", server.http), &headers, &curl::gzip(example.as_bytes()));
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let count = format!("SELECT count(*) FROM events WHERE event_source = '{name}'");
        let acme = server.client().await.with_tenant("acme").expect("a name");
        assert!(number(&acme, &count).await > 0, "{name}");
        assert_eq!(number(&server.client().await, &count).await, 0, "{name}");
    }
    let imported = br#"{"batch":[{"type":"track","userId":"u","event":"Imported"}]}"#;
    assert_eq!(curl::post(&format!("{}/v1/import", server.http), &[], imported).status, 200);
    assert_eq!(number(&server.client().await, "SELECT count(*) FROM events WHERE event_name = 'Imported'").await, 1);
}

/// Five megabytes, as sources.md has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_recording_is_taken_and_one_that_unfolds_without_end_is_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let url = format!("{}/v1/replay", server.http);
    let recording = |bytes: usize| {
        // Letters that no compression guesses.
        let mut random = Random::new(1);
        let picture: String = (0..bytes).map(|_| char::from(b'a' + (random.draw() % 16) as u8)).collect();
        format!(r#"{{"sessionId":"s","events":[{{"type":2,"timestamp":1700000000000,"data":{{"node":"{picture}"}}}}]}}"#)
    };
    let large = recording(4_900_000);
    for (body, headers) in [(large.clone().into_bytes(), &[][..]), (curl::gzip(large.as_bytes()), &["Content-Encoding: gzip"])] {
        let answer = curl::post(&url, headers, &body);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let stored = number(&server.client().await, "SELECT CAST(max(length(replay_data)) AS BIGINT) FROM events").await;
    assert!(stored > 4_900_000, "{stored}");
    for (body, headers) in [
        (recording(17 << 20).into_bytes(), &[][..]),
        (curl::gzip(recording(17 << 20).as_bytes()), &["Content-Encoding: gzip"]),
        (curl::gzip(&vec![b' '; 200 << 20]), &["Content-Encoding: gzip"]),
    ] {
        let refused = curl::post(&url, headers, &body);
        assert!(refused.status == 400 && refused.body.contains("limit"), "{refused:?}");
    }
}

fn track(id: usize) -> EventBatch {
    let mut batch = BatchBuilder::new(TenantId::default(), 256);
    batch.row(None, |row| {
        row.str(Column::Id, &format!("n-{id}"));
        row.str(Column::EventType, "track");
        row.str(Column::EventName, "Counted");
        row.int(Column::Timestamp, 1_700_000_000_000_000);
    });
    batch.finish().expect("a batch")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_batches_is_acknowledged_one_by_one() {
    const BATCHES: usize = 100;
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let client = server.client().await;
    let acks = client.publish_all(futures::stream::iter(0..BATCHES).map(track)).await.expect("begins");
    let accepted: Vec<u64> = acks.map_ok(|published| published.accepted).try_collect().await.expect("all are taken");
    assert_eq!(accepted, [1; BATCHES]);
    assert_eq!(number(&client, "SELECT count(DISTINCT id) FROM events").await, BATCHES as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_batch_leaves_the_others_of_its_stream() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let client = server.client().await;
    let mut beyond = BatchBuilder::new(TenantId::default(), 256);
    beyond.row(None, |row| {
        row.str(Column::EventType, "track");
        row.str(Column::EventName, "Late");
        row.int(Column::Timestamp, i64::MAX);
    });
    let batches = [track(0), beyond.finish().expect("a batch"), track(1)];
    let acks: Vec<_> = client.publish_all(futures::stream::iter(batches)).await.expect("begins").collect().await;
    let accepted = |at: usize| acks[at].as_ref().map(|published| published.accepted).map_err(ToString::to_string);
    assert_eq!((accepted(0), accepted(2)), (Ok(1), Ok(1)));
    let refused = accepted(1).expect_err("a time that cannot be stored");
    assert!(refused.contains("timestamp"), "{refused}");
    assert_eq!(number(&client, "SELECT count(*) FROM events").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_sources_format_may_come_over_grpc() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let client = server.client().await;
    let message = br#"{"userId":"u","event":"Paid","messageId":"m-1"}"#;
    assert_eq!(client.send("/v1/track", message.to_vec()).await.expect("taken").accepted, 1);
    let unknown = client.send("/v1/nowhere", Vec::new()).await.expect_err("unknown").to_string();
    assert!(unknown.contains("`/v1/nowhere` is no endpoint"), "{unknown}");
    assert_eq!(texts(&client, "SELECT id FROM events WHERE event_name = 'Paid'").await, ["m-1"]);
}

#[test]
fn the_demo_joins_all_sources_in_one_statement_and_one_subscription() {
    let shown = watershed(&["demo"]);
    let sources = ["snippet", "web_vitals", "replay", "segment", "otel", "cdc", "do_event", "do_action", "workers_tail"];
    for source in sources {
        assert!(shown.lines().any(|line| line.split_whitespace().nth(2) == Some(source)), "{source}: {shown}");
    }
    assert!(
        shown.contains("14 events, 14 were sent; a subscription to the trace delivered the same, in the order of the log."),
        "{shown}"
    );
    let times = shown.lines().filter_map(|line| line.trim().split_once(" ms ")?.0.parse::<i64>().ok());
    let times: Vec<_> = times.collect();
    assert!(times.len() == 14 && times.is_sorted(), "{times:?}");
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign").join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_own_library_for_node() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let client = server.client().await;
    let mut node = Command::new("node");
    node.current_dir(target().join("foreign/node")).arg(script("send_segment.mjs")).arg(&server.http);
    let output = node.output().unwrap_or_else(|error| panic!("{error}: run `cargo xtask prepare`"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(said["failed"], serde_json::json!([]), "{said}");
    let sent: BTreeSet<String> = said["sent"].as_array().expect("a list").iter().map(|pair| word(&pair[1])).collect();
    assert_eq!(sent.len(), 6, "{said}");
    let stored = texts(&client, "SELECT id FROM events WHERE event_source = 'segment'").await;
    assert_eq!(stored.iter().cloned().collect::<BTreeSet<_>>(), sent);
    segment_columns(&client).await;
}

fn word(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

async fn segment_columns(client: &Client) {
    let names = "SELECT event_type || '/' || event_name AS name FROM events ORDER BY name";
    let expected =
        ["page/Shop.page_view", "page/screen_view", "track/Order Completed", "track/alias", "track/group", "track/identify"];
    assert_eq!(texts(client, names).await, expected);
    let everywhere = "SELECT count(*) FROM events WHERE actor_id = 'user-7' AND session_id = 'session-7' \
        AND trace_id = '0af7651916cd43dd8448eb211c80319c' AND client_name = '@segment/analytics-node'";
    assert_eq!(number(client, everywhere).await, 6);
    assert_eq!(texts(client, "SELECT actor_name FROM events WHERE event_name = 'identify'").await, ["Ann"]);
    assert_eq!(texts(client, "SELECT http_query FROM events WHERE event_name = 'Shop.page_view'").await, ["?q=1"]);
}

/// A server with the built-in rules for the tenant `acme`.
fn with_redaction(dir: &Path) -> Server {
    let settings = dir.join("watershed.toml");
    std::fs::write(&settings, "[redaction.tenants.acme]\nbuiltin = true\n").expect("writes");
    Server::start(&dir.join("data"), &["--config", &settings.display().to_string()])
}

/// With and without the rules.
const OF_TENANT: [(&str, &str); 2] = [("acme", r#"{"plan":"free"}"#), ("other", r#"{"password":"hunter2","plan":"free"}"#)];

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_taken_out_at_the_door_of_the_tenant_that_wants_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = with_redaction(dir.path());
    let track = format!("{}/v1/track", server.http);
    let call = br#"{"userId":"u","event":"Paid","properties":{"password":"hunter2","plan":"free"}}"#;
    for (tenant, properties) in OF_TENANT {
        assert_eq!(curl::post(&track, &[&format!("X-Scope-OrgID: {tenant}")], call).status, 200);
        let client = server.client().await.with_tenant(tenant).expect("a name");
        assert_eq!(texts(&client, "SELECT properties FROM events").await, [properties]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_taken_out_of_what_comes_over_grpc() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = with_redaction(dir.path());
    let mut traces = otlp::spans(0, 1);
    let secrets = vec![otlp::text("password", "hunter2"), otlp::text("plan", "free")];
    traces.resource_spans[0].scope_spans[0].spans[0].attributes = secrets;
    for (tenant, kept) in OF_TENANT {
        Exporter::connect(&server.grpc).await.with_tenant(tenant).traces(traces.clone()).await.expect("taken");
        let client = server.client().await.with_tenant(tenant).expect("a name");
        client.publish(with_password(tenant)).await.expect("taken");
        let stored = texts(&client, "SELECT coalesce(properties, attributes) FROM events ORDER BY event_source").await;
        assert_eq!(stored, [kept, kept], "a native event and a span");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_taken_out_of_otlp_over_http() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = with_redaction(dir.path());
    let log = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"in"},"attributes":[
        {"key":"password","value":{"stringValue":"hunter2"}},{"key":"plan","value":{"stringValue":"free"}}]}]}]}]}"#;
    for (tenant, kept) in OF_TENANT {
        let headers = ["Content-Type: application/json", &format!("X-Scope-OrgID: {tenant}")];
        assert_eq!(curl::post(&format!("{}/v1/logs", server.http), &headers, log).status, 200);
        let client = server.client().await.with_tenant(tenant).expect("a name");
        assert_eq!(texts(&client, "SELECT attributes FROM events").await, [kept]);
    }
}

/// A native event.
fn with_password(tenant: &str) -> EventBatch {
    let mut batch = BatchBuilder::new(TenantId::new(tenant).expect("a name"), 256);
    batch.row(None, |row| {
        row.str(Column::EventType, "track");
        row.str(Column::EventName, "Paid");
        row.json(Column::Properties, r#"{"password":"hunter2","plan":"free"}"#);
    });
    batch.finish().expect("a batch")
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_ids_of_two_sources_are_two_events() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let message = r#"{"userId":"u","event":"Paid","messageId":"1"}"#;
    let action = r#"{"id":"1","ns":"shop","verb":"pay","status":"completed"}"#;
    for (path, body) in [("/v1/track", message), ("/v1/actions", action)].repeat(2) {
        let answer = curl::post(&format!("{}{path}", server.http), &[], body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let sources = texts(&server.client().await, "SELECT event_source FROM events WHERE id = '1' ORDER BY 1").await;
    assert_eq!(sources, ["do_action", "segment"], "and what is sent again is not stored again");
}
