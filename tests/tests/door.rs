//! What the door says: retries, bad input, limits, a full disk, the drain.

use std::process::Command;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use watershed_client::Client;
use watershed_schema::{BatchBuilder, Column, TenantId};
use watershed_tests::curl::{self, PROTOBUF};
use watershed_tests::otlp::{Exporter, spans, text};
use watershed_tests::server::Server;
use watershed_tests::{number, until};

const COUNT: &str = "SELECT count(*) FROM events";

/// Status and body.
fn post(url: &str, headers: &[&str], body: &[u8]) -> (u16, String) {
    let answer = curl::post(url, headers, body);
    (answer.status, answer.body)
}

const JSON: &str = "Content-Type: application/json";

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_the_same_request_adds_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &["--flush-interval", "1s"]);
    let (client, exporter) = (server.client().await, Exporter::connect(&server.grpc).await);
    for _ in 0..3 {
        exporter.traces(spans(0, 50)).await.expect("acknowledged");
        assert_eq!(number(&client, COUNT).await, 50);
    }
    until("all is archived", async || number(&client, "SELECT count(*) FROM events WHERE _tier = 'hot'").await == 0).await;
    exporter.traces(spans(0, 50)).await.expect("acknowledged");
    let body = spans(0, 50).encode_to_vec();
    assert_eq!(post(&format!("{}/v1/traces", server.http), &[PROTOBUF], &body).0, 200);
    assert_eq!(number(&client, COUNT).await, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_a_clear_error_and_nothing_is_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path(), &[]);
    let url = format!("{}/v1/traces", server.http);
    let whole = spans(0, 10).encode_to_vec();
    let mut lying = whole.clone();
    lying[2] = 0x7f;
    let bomb = curl::gzip(&vec![0u8; 200 << 20]);
    type Case<'a> = (&'a str, Vec<u8>, &'a [&'a str], u16, &'a str);
    let cases: [Case<'_>; 9] = [
        ("not protobuf", b"hello, world".to_vec(), &[PROTOBUF], 400, "not decodable"),
        ("cut", whole[..whole.len() - 7].to_vec(), &[PROTOBUF], 400, "not decodable"),
        ("lying about a length", lying, &[PROTOBUF], 400, "not decodable"),
        ("not JSON", b"{\"resourceSpans\": [".to_vec(), &[JSON], 400, "line 1"),
        ("too big", vec![0; (16 << 20) + 1], &[PROTOBUF], 400, "limit 16777216"),
        ("a bomb", bomb, &[PROTOBUF, "Content-Encoding: gzip"], 400, "limit 16777216"),
        ("not gzip", whole.clone(), &[PROTOBUF, "Content-Encoding: gzip"], 400, "gzip"),
        ("of an unknown encoding", whole.clone(), &[PROTOBUF, "Content-Encoding: br"], 400, "content-encoding"),
        ("of an unknown type", whole.clone(), &["Content-Type: text/plain"], 415, "content-type"),
    ];
    for (name, body, headers, status, word) in cases {
        let (got, said) = post(&url, headers, &body);
        assert_eq!((got, said.contains(word)), (status, true), "{name}: {said}");
    }
    let (got, said) = post(&url, &[PROTOBUF, "X-Scope-OrgID: a b"], &whole);
    assert_eq!((got, said.contains("x-scope-orgid")), (400, true), "{said}");
    assert_eq!(number(&server.client().await, COUNT).await, 0);
    assert!(server.is_running());
    assert_eq!(post(&url, &[PROTOBUF, "Content-Encoding: gzip"], &curl::gzip(&whole)).0, 200, "a good one after all that");
    assert_eq!(number(&server.client().await, COUNT).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_refuses_bombs_and_takes_both_compressions() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path(), &[]);
    let mut exporter = Exporter::connect(&server.grpc).await;
    for (index, compression) in [CompressionEncoding::Gzip, CompressionEncoding::Zstd].into_iter().enumerate() {
        exporter.compression = Some(compression);
        exporter.traces(spans(index as u64 * 10, 10)).await.expect("acknowledged");
        let mut bomb = spans(1_000, 1);
        bomb.resource_spans[0].scope_spans[0].spans[0].attributes.push(text("a", &"a".repeat(40 << 20)));
        let refused = exporter.traces(bomb).await.expect_err("a bomb");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains("limit"), "{refused}");
    }
    assert_eq!(number(&server.client().await, COUNT).await, 20);
    assert!(server.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_success_tells_the_truth() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let exporter = Exporter::connect(&server.grpc).await;
    let mut request = spans(0, 10);
    request.resource_spans[0].scope_spans[0].spans[3].trace_id = vec![1, 2, 3];
    let partial = exporter.traces(request).await.expect("acknowledged").partial_success.expect("partial");
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("record 3: trace_id"), "{}", partial.error_message);
    let mut all_bad = spans(20, 1);
    all_bad.resource_spans[0].scope_spans[0].spans[0].trace_id = vec![1];
    assert_eq!(exporter.traces(all_bad).await.expect_err("all bad").code(), Code::InvalidArgument);
    assert_eq!(exporter.traces(ExportTraceServiceRequest::default()).await.expect("empty is fine").partial_success, None);
    assert_eq!(number(&server.client().await, COUNT).await, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_do_not_see_each_other() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let url = format!("{}/v1/traces", server.http);
    for (tenant, count) in [("acme", 5), ("globex", 7)] {
        let header = format!("X-Scope-OrgID: {tenant}");
        assert_eq!(post(&url, &[PROTOBUF, &header], &spans(0, count).encode_to_vec()).0, 200);
    }
    let of = async |tenant: &str| Client::connect(&server.grpc).await.expect("connects").with_tenant(tenant).expect("a name");
    assert_eq!(number(&of("acme").await, COUNT).await, 5);
    assert_eq!(number(&of("globex").await, COUNT).await, 7);
    assert_eq!(number(&of("default").await, COUNT).await, 0);
    let trace = format!("{:032x}", 1u128 << 8 | 1);
    assert_eq!(of("globex").await.get_trace(&trace).await.expect("reads").len(), 4);
    assert!(of("default").await.get_trace(&trace).await.expect("reads").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_ids_of_two_tenants_are_two_events() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &["--shards", "1"]);
    for tenant in ["acme", "globex"] {
        Exporter::connect(&server.grpc).await.with_tenant(tenant).traces(spans(0, 5)).await.expect("acknowledged");
        let client = server.client().await.with_tenant(tenant).expect("a name");
        assert_eq!(number(&client, COUNT).await, 5, "{tenant}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_event_belongs_to_its_sender_also_in_the_lake() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &["--flush-interval", "1s"]);
    let of = async |tenant: &str| Client::connect(&server.grpc).await.expect("connects").with_tenant(tenant).expect("a name");
    let (acme, globex) = (of("acme").await, of("globex").await);
    let batch = || {
        let mut batch = BatchBuilder::new(TenantId::new("acme").expect("a name"), 256);
        batch.row(None, |row| {
            row.str(Column::Id, "order-1");
            row.str(Column::Ns, "globex");
            row.str(Column::EventType, "track");
            row.str(Column::EventName, "order.placed");
            row.int(Column::Timestamp, 1_760_000_000_000_000);
            row.json(Column::Properties, r#"{"total": 12.5}"#);
        });
        batch.finish().expect("a row")
    };
    for _ in 0..2 {
        assert_eq!(acme.publish(batch()).await.expect("acknowledged").accepted, 1);
    }
    until("all is archived", async || number(&acme, "SELECT count(*) FROM events WHERE _tier = 'hot'").await == 0).await;
    assert_eq!(number(&acme, "SELECT count(*) FROM events WHERE ns = 'acme' AND properties LIKE '%12.5%'").await, 1);
    assert_eq!(number(&globex, COUNT).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_loses_nothing_and_comes_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let mount =
        |words: &[&str]| Command::new(words[0]).args(&words[1..]).arg(dir.path()).status().is_ok_and(|done| done.success());
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs"]) {
        eprintln!("skipped: no right to mount a tmpfs here");
        return;
    }
    let server = Server::start(dir.path(), &["--flush-interval", "1h"]);
    let (client, exporter) = (server.client().await, Exporter::connect(&server.grpc).await);
    let ballast = dir.path().join("ballast");
    std::fs::write(&ballast, vec![1u8; 8 << 20]).expect("fits");
    let mut acknowledged = 0;
    let refused = loop {
        match exporter.traces(noisy(acknowledged, 200)).await {
            Ok(_) => acknowledged += 200,
            Err(refused) => break refused,
        }
        assert!(acknowledged < 1_000_000, "the disk never filled up");
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(tonic_types::StatusExt::get_details_retry_info(&refused).is_some(), "says when to come back");
    assert!(number(&client, COUNT).await >= acknowledged as i64, "what was acknowledged is there");
    std::fs::remove_file(&ballast).expect("frees space");
    until("service comes back", async || exporter.traces(noisy(acknowledged, 200)).await.is_ok()).await;
    assert_eq!(number(&client, COUNT).await, acknowledged as i64 + 200);
    drop(server);
    assert!(mount(&["umount"]), "the tmpfs goes");
}

/// Spans that do not compress.
fn noisy(first: u64, count: u64) -> ExportTraceServiceRequest {
    let mut request = spans(first, count);
    let mut state = first.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:016x}")
    };
    for span in &mut request.resource_spans[0].scope_spans[0].spans {
        span.attributes.push(text("noise", &(0..40).map(|_| noise()).collect::<String>()));
    }
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_archives_and_ends_with_0() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &["--flush-interval", "1h"]);
    let exporter = Exporter::connect(&server.grpc).await;
    exporter.traces(spans(0, 30)).await.expect("acknowledged");
    let mut stream = server.client().await.subscribe(watershed_client::Filter::default(), watershed_client::Start::Earliest);
    let first = futures::TryStreamExt::try_next(&mut stream).await.expect("follows").expect("an item");
    assert_eq!(first.events.len(), 30);
    server.terminate();
    assert!(server.ended().success(), "ends with 0 though a stream was open");
    let server = Server::start(dir.path(), &["--flush-interval", "1h"]);
    let client = server.client().await;
    assert_eq!(number(&client, "SELECT count(*) FROM events WHERE _tier = 'lake'").await, 30);
    let metrics = curl::get(&format!("{}/metrics", server.http));
    assert_eq!((metrics.status, metrics.body.contains("watershed_archive_lag_events")), (200, true), "{metrics:?}");
    for path in ["livez", "readyz", "healthz"] {
        assert_eq!(curl::get(&format!("{}/{path}", server.http)).status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_folder_has_one_process() {
    let dir = tempfile::tempdir().expect("a folder");
    let _first = Server::start(dir.path(), &[]);
    assert!(Server::start_with(dir.path(), &[], &[]).is_none());
}
