//! A full byte budget as a sender sees it: told when to come back, nothing written, and service goes on.

use std::path::Path;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tokio::task::JoinHandle;
use tonic::Code;
use watershed_tests::curl::{self, PROTOBUF};
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::server::Server;
use watershed_tests::{number, until};

const COUNT: &str = "SELECT count(*) FROM events";
const BUDGET: usize = 64 * 1024;
/// The first entry is held back, once, for half the deadline of an append; nobody waits for the time itself.
const SLOW: (&str, &str) = ("FAILPOINTS", "shard::before_propose=1*sleep(5000)");

fn start(dir: &Path) -> Server {
    Server::start_with(dir, &["--set", &format!("budget={BUDGET}B")], &[SLOW]).expect("starts")
}

/// A sample of `/metrics`, 0 when it is not there.
fn metric(server: &Server, name: &str) -> f64 {
    let metrics = curl::get(&format!("{}/metrics", server.http)).body;
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().expect("a number"))
}

/// A request in flight that leaves no room for another of its size.
async fn fill(server: &Server) -> JoinHandle<()> {
    let (exporter, request) = (Exporter::connect(&server.grpc).await, spans(0, 400));
    let bytes = request.encoded_len();
    assert!(bytes <= BUDGET && bytes * 2 > BUDGET, "{bytes} of {BUDGET} bytes");
    let sent = tokio::spawn(async move { drop(exporter.traces(request).await.expect("acknowledged in the end")) });
    until("bytes are in use", async || metric(server, "watershed_budget_used_bytes") >= bytes as f64).await;
    sent
}

async fn expect_refused_by_grpc(server: &Server, request: ExportTraceServiceRequest) {
    let refused = Exporter::connect(&server.grpc).await.traces(request).await.expect_err("no room");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    let retry = tonic_types::StatusExt::get_details_retry_info(&refused).expect("says when to come back");
    assert!(retry.retry_delay.is_some_and(|wait| !wait.is_zero()), "{retry:?}");
}

fn expect_refused_by_http(server: &Server, request: &ExportTraceServiceRequest) {
    let refused = curl::post(&format!("{}/v1/traces", server.http), &[PROTOBUF], &request.encode_to_vec());
    assert_eq!(refused.status, 429, "{refused:?}");
    let seconds: u64 = refused.header("retry-after").expect("says when to come back").parse().expect("seconds");
    assert!(seconds >= 1, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_budget_refuses_says_when_to_come_back_and_writes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    let first = fill(&server).await;
    expect_refused_by_grpc(&server, spans(1_000, 400)).await;
    expect_refused_by_http(&server, &spans(2_000, 400));
    assert!(!first.is_finished(), "it was in flight all the time");
    let refused = "watershed_requests_refused_total{signal=\"traces\",reason=\"overloaded\"}";
    assert!((metric(&server, refused) - 2.0).abs() < f64::EPSILON, "both are counted by their reason");
    first.await.expect("is acknowledged");
    until("no byte is in use", async || metric(&server, "watershed_budget_used_bytes") == 0.0).await;
    let client = server.client().await;
    assert_eq!(number(&client, COUNT).await, 400, "the refused ones wrote nothing");
    Exporter::connect(&server.grpc).await.traces(spans(1_000, 400)).await.expect("comes again");
    let again = curl::post(&format!("{}/v1/traces", server.http), &[PROTOBUF], &spans(2_000, 400).encode_to_vec());
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(number(&client, COUNT).await, 1_200);
}
