//! Telemetry of a small shop, for `send`, `bench` and benchmarks: real in shape and size, new ids each time.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

/// Numbers that only look random (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Equal seeds give equal numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    fn id(&mut self, bytes: usize) -> Vec<u8> {
        let mut id: Vec<u8> = self.draw().to_be_bytes().into_iter().chain(self.draw().to_be_bytes()).collect();
        id.truncate(bytes);
        id
    }
}

/// Nanoseconds since 1970.
#[must_use]
pub fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn int(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(value.cast_signed()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn resource(service: &str) -> Option<Resource> {
    let attributes = vec![
        text("service.name", service),
        text("service.version", "1.14.2"),
        text("service.instance.id", format!("{service}-7d9c4b-x2x9k")),
        text("deployment.environment.name", "production"),
        text("host.name", "ip-10-2-31-17"),
        text("k8s.namespace.name", "shop"),
        text("k8s.pod.name", format!("{service}-7d9c4b-x2x9k")),
        text("cloud.region", "eu-central-1"),
    ];
    Some(Resource { attributes, ..Resource::default() })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: "shop".into(), version: "1.0.0".into(), ..InstrumentationScope::default() })
}

/// So many sessions are there.
pub const SESSIONS: u64 = 40_000;

/// The id of a session by its number.
#[must_use]
pub fn session(number: u64) -> String {
    format!("session-{number:08x}")
}

const ROUTES: [&str; 6] = ["/cart", "/checkout", "/items/{id}", "/search", "/login", "/orders/{id}"];

/// What all spans of one trace are about: a person asks for a page, and every service on the way says so.
struct Visit {
    trace: Vec<u8>,
    route: &'static str,
    item: u64,
    user: u64,
    session: u64,
    address: u64,
}

impl Visit {
    fn draw(random: &mut Random) -> Self {
        Self {
            trace: random.id(16),
            route: ROUTES[usize::try_from(random.below(6)).unwrap_or_default()],
            item: random.below(5_000),
            user: random.below(20_000),
            session: random.below(SESSIONS),
            address: random.below(255),
        }
    }
}

/// Spans of a trace, where nothing else is said.
pub const TRACE_SPANS: usize = 4;

/// About 0.9 KB each: twenty attributes; traces of four spans; one in twenty failed. User, session, address, page and
/// item are those of the trace; times, sizes, threads and outcomes are each span's own.
#[must_use]
pub fn traces(random: &mut Random, spans: usize) -> ExportTraceServiceRequest {
    traces_of(random, spans, TRACE_SPANS)
}

/// The same in traces of another length.
#[must_use]
pub fn traces_of(random: &mut Random, spans: usize, trace_spans: usize) -> ExportTraceServiceRequest {
    let mut all = Vec::with_capacity(spans);
    let (mut visit, mut parent) = (Visit::draw(random), Vec::new());
    for index in 0..spans {
        if index % trace_spans == 0 {
            (visit, parent) = (Visit::draw(random), Vec::new());
        }
        let span = span(random, &visit, &parent);
        parent.clone_from(&span.span_id);
        all.push(span);
    }
    let scope_spans = vec![ScopeSpans { scope: scope(), spans: all, schema_url: String::new() }];
    let group = ResourceSpans { resource: resource("checkout"), scope_spans, schema_url: String::new() };
    ExportTraceServiceRequest { resource_spans: vec![group] }
}

fn span(random: &mut Random, visit: &Visit, parent: &[u8]) -> Span {
    let (end, took) = (now_ns(), 200_000 + random.below(80_000_000));
    let failed = random.below(20) == 0;
    Span {
        trace_id: visit.trace.clone(),
        span_id: random.id(8),
        parent_span_id: parent.to_vec(),
        name: format!("GET {}", visit.route),
        kind: 2,
        start_time_unix_nano: end - took,
        end_time_unix_nano: end,
        attributes: span_attributes(random, visit, failed),
        status: failed.then(|| Status { code: 2, message: "upstream timed out".into() }),
        ..Span::default()
    }
}

fn span_attributes(random: &mut Random, visit: &Visit, failed: bool) -> Vec<KeyValue> {
    let Visit { route, item, .. } = visit;
    vec![
        text("http.request.method", "GET"),
        text("http.route", *route),
        text(
            "url.full",
            format!("https://shop.example.com{route}?item={item}&ref=mail&utm_source=newsletter&utm_campaign=autumn"),
        ),
        text("url.path", *route),
        text("url.query", format!("item={item}&ref=mail&utm_source=newsletter&utm_campaign=autumn")),
        text("server.address", "shop.example.com"),
        int("server.port", 443),
        int("http.response.status_code", if failed { 504 } else { 200 }),
        int("http.response.body.size", random.below(40_000)),
        text("network.protocol.version", "1.1"),
        text("client.address", format!("203.0.113.{}", visit.address)),
        text(
            "user_agent.original",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
        ),
        text("user.id", format!("user-{}", visit.user)),
        text("session.id", session(visit.session)),
        text("shop.currency", "EUR"),
        int("shop.items", random.below(9)),
        text("feature.flag", if item.is_multiple_of(2) { "new-cart" } else { "old-cart" }),
        int("thread.id", random.below(64)),
        text("thread.name", "http-worker"),
        text("peer.zone", "eu-central-1b"),
    ]
}

/// About 0.36 KB each.
#[must_use]
pub fn logs(random: &mut Random, records: usize) -> ExportLogsServiceRequest {
    let record = |_| {
        let (now, order) = (now_ns(), random.below(1_000_000));
        let body = Value::StringValue(format!(
            "order {order} accepted for user {} in {} ms, stock reserved in warehouse eu-central-1b, payment is authorised and captured",
            random.below(20_000),
            random.below(900)
        ));
        LogRecord {
            time_unix_nano: now,
            observed_time_unix_nano: now,
            severity_number: 9,
            severity_text: "INFO".into(),
            body: Some(AnyValue { value: Some(body) }),
            attributes: vec![
                int("order.id", order),
                text("code.function.name", "shop::orders::accept"),
                text("code.file.path", "crates/shop/src/orders/accept.rs"),
                int("code.line.number", 118),
                text("thread.name", "http-worker"),
            ],
            trace_id: random.id(16),
            span_id: random.id(8),
            ..LogRecord::default()
        }
    };
    let scope_logs =
        vec![ScopeLogs { scope: scope(), log_records: (0..records).map(record).collect(), schema_url: String::new() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource: resource("orders"), scope_logs, schema_url: String::new() }],
    }
}

/// One counter with a data point for each route.
#[must_use]
pub fn metrics(random: &mut Random, points: usize) -> ExportMetricsServiceRequest {
    let point = |index: usize| NumberDataPoint {
        attributes: vec![text("http.route", ROUTES[index % ROUTES.len()])],
        time_unix_nano: now_ns(),
        value: Some(number_data_point::Value::AsInt(random.below(1_000).cast_signed())),
        ..NumberDataPoint::default()
    };
    let sum = Sum { data_points: (0..points).map(point).collect(), aggregation_temporality: 2, is_monotonic: true };
    let metric =
        Metric { name: "http.server.requests".into(), unit: "1".into(), data: Some(Data::Sum(sum)), ..Metric::default() };
    let scope_metrics = vec![ScopeMetrics { scope: scope(), metrics: vec![metric], schema_url: String::new() }];
    let group = ResourceMetrics { resource: resource("checkout"), scope_metrics, schema_url: String::new() };
    ExportMetricsServiceRequest { resource_metrics: vec![group] }
}
