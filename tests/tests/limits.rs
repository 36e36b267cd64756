//! A full byte budget as a sender sees it: told when to come back, nothing written, and service goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tonic::Code;
use watershed_tests::curl::{self, PROTOBUF};
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::server::Server;
use watershed_tests::{number, until};

const COUNT: &str = "SELECT count(*) FROM events";
const USED: &str = "watershed_budget_used_bytes";
const BUDGET: usize = 64 * 1024;

fn start(dir: &Path) -> Server {
    Server::start(dir, &["--set", &format!("budget={BUDGET}B")])
}

/// A request that was admitted by its declared length and whose body is on its way for as long as the test wants.
struct InFlight {
    connection: TcpStream,
    body: Vec<u8>,
}

impl InFlight {
    /// Leaves no room for another request of its size.
    async fn begin(server: &Server) -> Self {
        let body = spans(0, 400).encode_to_vec();
        assert!(body.len() <= BUDGET && body.len() * 2 > BUDGET, "{} of {BUDGET} bytes", body.len());
        let address = server.http.trim_start_matches("http://");
        let mut connection = TcpStream::connect(address).expect("connects");
        let head = format!("POST /v1/traces HTTP/1.1\r\nHost: {address}\r\n{PROTOBUF}\r\nConnection: close\r\n");
        write!(connection, "{head}Content-Length: {}\r\n\r\n", body.len()).expect("writes");
        let flight = Self { connection, body };
        until("bytes are in use", async || flight.holds_its_bytes(server)).await;
        flight
    }

    fn holds_its_bytes(&self, server: &Server) -> bool {
        server.metric(USED) >= self.body.len() as f64
    }

    /// Sends the body; what is answered.
    fn end(mut self) -> String {
        self.connection.write_all(&self.body).expect("writes");
        let mut answer = Vec::new();
        self.connection.read_to_end(&mut answer).expect("answers");
        String::from_utf8_lossy(&answer).into_owned()
    }
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
    let first = InFlight::begin(&server).await;
    expect_refused_by_grpc(&server, spans(1_000, 400)).await;
    expect_refused_by_http(&server, &spans(2_000, 400));
    assert!(first.holds_its_bytes(&server), "it was in flight all the time");
    let refused = "watershed_requests_refused_total{signal=\"traces\",reason=\"overloaded\"}";
    assert!((server.metric(refused) - 2.0).abs() < f64::EPSILON, "both are counted by their reason");
    let answer = first.end();
    assert!(answer.starts_with("HTTP/1.1 200"), "is acknowledged in the end: {answer}");
    until("no byte is in use", async || server.metric(USED) == 0.0).await;
    let client = server.client().await;
    assert_eq!(number(&client, COUNT).await, 400, "the refused ones wrote nothing");
    Exporter::connect(&server.grpc).await.traces(spans(1_000, 400)).await.expect("comes again");
    let again = curl::post(&format!("{}/v1/traces", server.http), &[PROTOBUF], &spans(2_000, 400).encode_to_vec());
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(number(&client, COUNT).await, 1_200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_sends_too_much_waits_and_the_others_do_not() {
    let dir = tempfile::tempdir().expect("a folder");
    // A request of 100 events is twice what may come at once.
    let limits = ["--set", "limits_events_per_second=1", "--set", "limits_burst=50s"];
    let server = Server::start(dir.path(), &limits);
    let noisy = Exporter::connect(&server.grpc).await.with_tenant("noisy");
    noisy.traces(spans(0, 100)).await.expect("nothing was sent before");
    let refused = noisy.traces(spans(100, 100)).await.expect_err("in debt");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(refused.message().contains("tenant noisy sends more than 1 events a second"), "{refused:?}");
    let wait = tonic_types::StatusExt::get_details_retry_info(&refused).and_then(|info| info.retry_delay);
    assert!(wait.is_some_and(|wait| (40..=50).contains(&wait.as_secs())), "{wait:?}");
    let http =
        curl::post(&format!("{}/v1/traces", server.http), &[PROTOBUF, "x-scope-orgid: noisy"], &spans(100, 100).encode_to_vec());
    assert_eq!(http.status, 429, "{http:?}");
    assert_eq!(http.header("ratelimit-policy"), Some("\"events\";q=50;w=50"));
    let left = http.header("ratelimit").expect("a header").to_owned();
    assert!(left.starts_with("\"events\";r=0;t=") && left.ends_with(http.header("retry-after").expect("a header")), "{left}");
    assert!(server.metric("watershed_requests_refused_total{signal=\"traces\",reason=\"rate_limited\"}") >= 2.0);
    Exporter::connect(&server.grpc).await.with_tenant("quiet").traces(spans(0, 100)).await.expect("has a limit of its own");
    let client = server.client().await.with_tenant("noisy").expect("a name");
    assert_eq!(number(&client, COUNT).await, 100, "what was refused was not written");
}
