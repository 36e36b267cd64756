//! OTLP rules, with the prost structs of `opentelemetry-proto` as the writer of requests.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::{logs::v1::*, metrics::v1::*, trace::v1::*};
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value as Any,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{exponential_histogram_data_point::Buckets, metric::Data, number_data_point, *};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use proptest::prelude::*;
use prost::Message;
use watershed_schema::{Column, Projection, TenantId, Value, payload};
use watershed_sources::otlp::{Signal, transform};
use watershed_sources::{Context, InvalidRequest, Transformed};

const NOW_US: i64 = 1_790_000_000_000_000;
const START_NS: u64 = 1_789_999_000_123_456_789;

fn context() -> Context {
    Context { tenant: TenantId::new("acme").unwrap(), received_at_us: NOW_US, batch_id: "b1".into() }
}

fn any(value: Any) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn kv(key: &str, value: impl Into<Option<Any>>) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: value.into() }), ..Default::default() }
}

fn text(value: &str) -> Any {
    Any::StringValue(value.into())
}

fn resource() -> Resource {
    Resource { attributes: vec![kv("service.name", text("shop")), kv("host.name", text("h1"))], ..Default::default() }
}

fn span(attributes: Vec<KeyValue>) -> Span {
    Span {
        trace_id: vec![0xAB; 16],
        span_id: vec![0xCD; 8],
        name: "GET /".into(),
        kind: 2,
        start_time_unix_nano: START_NS,
        end_time_unix_nano: START_NS + 1_500_000,
        attributes,
        ..Default::default()
    }
}

fn traces(spans: Vec<Span>) -> Vec<u8> {
    let scope = InstrumentationScope { name: "lib".into(), version: "1".into(), ..Default::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: "s".into() }];
    let group = ResourceSpans { resource: Some(resource()), scope_spans, schema_url: "r".into() };
    ExportTraceServiceRequest { resource_spans: vec![group] }.encode_to_vec()
}

fn logs(log_records: Vec<LogRecord>) -> Vec<u8> {
    let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
    let group = ResourceLogs { resource: Some(resource()), scope_logs, ..Default::default() };
    ExportLogsServiceRequest { resource_logs: vec![group] }.encode_to_vec()
}

fn metrics(data: Data) -> Vec<u8> {
    let metric = Metric { name: "m".into(), description: "d".into(), unit: "ms".into(), data: Some(data), ..Default::default() };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..Default::default() }];
    let group = ResourceMetrics { resource: Some(resource()), scope_metrics, ..Default::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![group] }.encode_to_vec()
}

/// A row as text by column name; payloads as JSON.
fn rows(transformed: &Transformed) -> Vec<BTreeMap<&'static str, String>> {
    let everything = Projection::new(Column::ALL);
    let mut values = Vec::new();
    let batch = transformed.batch.as_ref().unwrap();
    let mut one = |row: watershed_schema::Row<'_>| {
        let mut values_here = Vec::new();
        row.project(&everything, &mut values_here).unwrap();
        let cells = Column::ALL.iter().zip(values_here).filter_map(|(column, value)| Some((column.name(), show(value?))));
        values.push(cells.collect());
    };
    (0..batch.len()).for_each(|index| one(batch.row(index)));
    values
}

fn show(value: Value<'_>) -> String {
    match value {
        Value::Text(text) => text.into(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Bytes(bytes) => format!("{bytes:?}"),
        Value::Payload(bytes) => {
            let mut json = String::new();
            payload::to_json(bytes, &mut json).unwrap();
            json
        }
    }
}

fn one(signal: Signal, request: &[u8]) -> BTreeMap<&'static str, String> {
    rows(&transform(signal, request, &context()).unwrap()).remove(0)
}

#[test]
fn a_span_fills_its_columns() {
    let mut sent = span(vec![kv("http.request.method", text("GET")), kv("http.response.status_code", Any::IntValue(200))]);
    sent.status = Some(Status { message: "why".into(), code: 2 });
    sent.parent_span_id = vec![1; 8];
    sent.trace_state = "k=v".into();
    sent.events =
        vec![span::Event { name: "exception".into(), attributes: vec![kv("exception.type", text("E"))], ..Default::default() }];
    sent.links = vec![span::Link { trace_id: vec![2; 16], span_id: vec![3; 8], ..Default::default() }];
    let row = one(Signal::Traces, &traces(vec![sent]));
    let expected = [
        ("event_type", "trace"),
        ("event_name", "GET /"),
        ("ns", "acme"),
        ("trace_id", "abababababababababababababababab"),
        ("span_id", "cdcdcdcdcdcdcdcd"),
        ("parent_id", "0101010101010101"),
        ("timestamp", "1789999000123456"),
        ("timestamp_ns", "1789999000123456789"),
        ("duration_ms", "1.5"),
        ("status_code", "2"),
        ("outcome", "error"),
        ("error_message", "why"),
        ("error_type", "E"),
        ("http_method", "GET"),
        ("http_status", "200"),
        ("service_name", "shop"),
        ("host_name", "h1"),
        ("event_source", "otel"),
        ("visibility", "user"),
        ("schema_version", "1"),
        ("batch_id", "b1"),
        ("is_root", "false"),
        ("hour", "13"),
        ("day", "2026-09-21"),
        ("attributes", r#"{"http.request.method":"GET","http.response.status_code":200}"#),
    ];
    for (column, value) in expected {
        assert_eq!(row.get(column).map(String::as_str), Some(value), "{column}");
    }
    let data: serde_json::Value = serde_json::from_str(&row["data"]).unwrap();
    assert_eq!(data["kind"], 2);
    assert_eq!(data["trace_state"], "k=v");
    assert_eq!(data["events"][0]["attributes"]["exception.type"], "E");
    assert_eq!(data["links"][0]["trace_id"], "02".repeat(16));
    let context: serde_json::Value = serde_json::from_str(&row["context"]).unwrap();
    assert_eq!(context["resource"]["service.name"], "shop");
    assert_eq!(context["scope"]["name"], "lib");
    assert_eq!(context["resource_schema_url"], "r");
    assert!(!row.contains_key("rpc_system"), "the span kind is no rpc system");
}

#[test]
fn current_names_win_over_old_ones_in_any_order() {
    let rules = [
        ("http.request.method", "http.method", "http_method"),
        ("url.full", "http.url", "http_url"),
        ("server.address", "net.peer.name", "http_host"),
        ("net.peer.name", "http.host", "http_host"),
        ("network.protocol.version", "http.flavor", "http_protocol"),
        ("http.response.status_code", "http.status_code", "http_status"),
        ("http.request.body.size", "http.request_content_length", "http_request_size"),
        ("http.response.body.size", "http.response_content_length", "http_response_size"),
        ("user_agent.original", "http.user_agent", "http_user_agent"),
        ("db.system.name", "db.system", "db_system"),
        ("db.namespace", "db.name", "db_name"),
        ("db.collection.name", "db.sql.table", "db_table"),
        ("db.operation.name", "db.operation", "db_operation"),
        ("db.query.text", "db.statement", "db_statement"),
        ("messaging.destination.name", "messaging.destination", "msg_destination"),
        ("messaging.operation.type", "messaging.operation", "msg_operation"),
        ("rpc.grpc.status_code", "rpc.response.status_code", "rpc_status"),
        ("exception.type", "error.type", "error_type"),
        ("user.id", "enduser.id", "actor_id"),
    ];
    for (current, old, column) in rules {
        for attributes in [vec![(current, "1"), (old, "2")], vec![(old, "2"), (current, "1")]] {
            let attributes = attributes.into_iter().map(|(key, value)| kv(key, text(value))).collect();
            assert_eq!(one(Signal::Traces, &traces(vec![span(attributes)]))[column], "1", "{current} over {old}");
        }
        let row = one(Signal::Traces, &traces(vec![span(vec![kv(old, text("2"))])]));
        assert_eq!(row[column], "2", "{old} alone");
        assert_eq!(row["attributes"], format!("{{\"{old}\":\"2\"}}"), "an attribute with a column stays");
    }
}

#[test]
fn the_old_target_is_path_and_query() {
    let row = one(Signal::Traces, &traces(vec![span(vec![kv("http.target", text("/a?b=c"))])]));
    assert_eq!((row["http_path"].as_str(), row["http_query"].as_str()), ("/a", "?b=c"));
    let both = vec![kv("http.target", text("/a?b=c")), kv("url.path", text("/z"))];
    assert_eq!(one(Signal::Traces, &traces(vec![span(both)]))["http_path"], "/z");
}

#[test]
fn zero_false_and_empty_are_values() {
    let row = one(Signal::Traces, &traces(vec![span(vec![kv("http.status_code", Any::IntValue(0)), kv("url.path", text(""))])]));
    assert_eq!((row["http_status"].as_str(), row["http_path"].as_str()), ("0", ""));
    let mut instant = span(vec![]);
    instant.end_time_unix_nano = START_NS;
    assert_eq!(one(Signal::Traces, &traces(vec![instant]))["duration_ms"], "0");
    let log = LogRecord { body: Some(any(text(""))), ..Default::default() };
    assert_eq!(one(Signal::Logs, &logs(vec![log]))["log_message"], "");
}

#[test]
fn times_are_made_fit() {
    let mut skewed = span(vec![]);
    skewed.end_time_unix_nano = START_NS - 1;
    assert_eq!(one(Signal::Traces, &traces(vec![skewed]))["duration_ms"], "0");
    let mut future = span(vec![]);
    future.start_time_unix_nano = (NOW_US as u64 + 90_000_000_000) * 1000;
    let row = one(Signal::Traces, &traces(vec![future]));
    assert_eq!(row["timestamp"], NOW_US.to_string());
    assert!(row["data"].contains("original_timestamp"));
    let mut none = span(vec![]);
    (none.start_time_unix_nano, none.end_time_unix_nano) = (0, 0);
    let row = one(Signal::Traces, &traces(vec![none]));
    assert_eq!(row["timestamp"], NOW_US.to_string());
    assert!(!row.contains_key("timestamp_ns"));
}

#[test]
fn a_span_without_ids_and_name_is_valid() {
    let row = one(Signal::Traces, &traces(vec![Span::default()]));
    assert!(!row.contains_key("trace_id") && row["event_name"].is_empty());
}

#[test]
fn bad_records_are_told_and_the_others_taken() {
    let short = Span { trace_id: vec![1; 5], ..span(vec![]) };
    let big = span(vec![kv("k", text(&"x".repeat(70_000)))]);
    let mut deep = Any::IntValue(1);
    for _ in 0..20 {
        deep = Any::ArrayValue(ArrayValue { values: vec![any(deep)] });
    }
    let transformed =
        transform(Signal::Traces, &traces(vec![short, span(vec![]), big, span(vec![kv("k", deep)])]), &context()).unwrap();
    assert_eq!(transformed.batch.as_ref().unwrap().len(), 1);
    assert_eq!(transformed.rejects.count, 3);
    let summary = transformed.rejects.summary();
    for part in [
        "record 0: trace_id: 5 bytes, must be 16",
        "record 2: attribute value: 70",
        "limit 65536",
        "record 3: attribute value: nested deeper than 16",
    ] {
        assert!(summary.contains(part), "{summary}");
    }
}

#[test]
fn attributes_beyond_the_limit_are_counted() {
    let many = (0..130).map(|n| kv(&format!("k{n}"), Any::IntValue(n))).collect();
    let transformed = transform(Signal::Traces, &traces(vec![span(many)]), &context()).unwrap();
    assert_eq!(transformed.dropped_attributes, 2);
}

#[test]
fn a_retry_gives_the_same_ids_and_other_events_other_ids() {
    let ids = |request: &[u8]| transform(Signal::Logs, request, &context()).unwrap().batch.unwrap().id_hashes().unwrap();
    let request = logs(vec![LogRecord::default(), LogRecord::default()]);
    assert_eq!(ids(&request), ids(&request));
    assert_ne!(ids(&request)[0], ids(&request)[1]);
    let span_id = |sent: Span| one(Signal::Traces, &traces(vec![sent]))["id"].clone();
    assert_eq!(span_id(span(vec![])), span_id(span(vec![kv("a", text("b"))])), "a span's key is its ids");
    assert_ne!(span_id(span(vec![])), span_id(Span { kind: 3, ..span(vec![]) }), "client and server may share a span id");
}

#[test]
fn a_log_fills_its_columns() {
    let list = Any::KvlistValue(KeyValueList { values: vec![kv("n", Any::IntValue(1))] });
    let log = LogRecord {
        observed_time_unix_nano: START_NS,
        severity_number: 17,
        body: Some(any(list)),
        attributes: vec![kv("event.name", text("ev")), kv("session.id", text("s1"))],
        ..Default::default()
    };
    let row = one(Signal::Logs, &logs(vec![log]));
    for (column, value) in [
        ("event_type", "log"),
        ("event_name", "ev"),
        ("log_level", "error"),
        ("log_level_num", "17"),
        ("log_message", "{\"n\":1}"),
        ("session_id", "s1"),
        ("timestamp_ns", "1789999000123456789"),
    ] {
        assert_eq!(row[column], value, "{column}");
    }
    assert!(row["data"].starts_with("{\"body\":{\"n\":1}"), "{}", row["data"]);
    let level = |number, word: &str| {
        let log = LogRecord { severity_number: number, severity_text: word.into(), ..Default::default() };
        one(Signal::Logs, &logs(vec![log])).get("log_level").cloned()
    };
    let levels = [(1, "trace"), (5, "debug"), (9, "info"), (13, "warn"), (17, "error"), (21, "fatal"), (99, "fatal")];
    assert!(levels.iter().all(|(number, word)| level(*number, "").as_deref() == Some(*word)));
    assert_eq!(level(9, "Notice").as_deref(), Some("notice"));
    assert_eq!(level(0, ""), None);
}

#[test]
fn every_kind_of_metric_fills_its_columns() {
    let number = |value| NumberDataPoint {
        time_unix_nano: START_NS,
        value: Some(value),
        attributes: vec![kv("code", Any::IntValue(5))],
        ..Default::default()
    };
    let sum = |is_monotonic| {
        Data::Sum(Sum { data_points: vec![number(number_data_point::Value::AsInt(7))], aggregation_temporality: 2, is_monotonic })
    };
    let row = one(Signal::Metrics, &metrics(sum(true)));
    for (column, value) in [
        ("metric_name", "m"),
        ("metric_unit", "ms"),
        ("metric_type", "counter"),
        ("metric_value", "7"),
        ("labels", "{\"code\":\"5\"}"),
    ] {
        assert_eq!(row[column], value, "{column}");
    }
    assert!(row["data"].contains("\"aggregation_temporality\":2") && row["data"].contains("\"int_value\":7"), "{}", row["data"]);
    assert_eq!(one(Signal::Metrics, &metrics(sum(false)))["metric_type"], "gauge");
    let gauge = Data::Gauge(Gauge { data_points: vec![number(number_data_point::Value::AsDouble(0.5))] });
    assert_eq!(one(Signal::Metrics, &metrics(gauge))["metric_value"], "0.5");

    let histogram = HistogramDataPoint {
        count: 3,
        sum: Some(6.0),
        min: Some(1.0),
        max: Some(3.0),
        bucket_counts: vec![1, 2],
        explicit_bounds: vec![2.0],
        ..Default::default()
    };
    let row =
        one(Signal::Metrics, &metrics(Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: 1 })));
    assert_eq!(row["metric_buckets"], "{\"bounds\":[2.0],\"counts\":[1,2]}");
    assert_eq!((row["metric_count"].as_str(), row["metric_sum"].as_str(), row["metric_min"].as_str()), ("3", "6", "1"));

    let positive = Some(Buckets { offset: -3, bucket_counts: vec![1, 300] });
    let exponential = ExponentialHistogramDataPoint { count: 301, scale: -2, zero_count: 4, positive, ..Default::default() };
    let row = one(
        Signal::Metrics,
        &metrics(Data::ExponentialHistogram(ExponentialHistogram { data_points: vec![exponential], aggregation_temporality: 1 })),
    );
    assert_eq!(row["metric_type"], "histogram");
    assert_eq!(
        row["metric_buckets"],
        "{\"scale\":-2,\"zero_count\":4,\"zero_threshold\":0.0,\"positive\":{\"offset\":-3,\"counts\":[1,300]}}"
    );

    let quantile_values = vec![summary_data_point::ValueAtQuantile { quantile: 0.5, value: 9.0 }];
    let summary = SummaryDataPoint { count: 2, sum: 18.0, quantile_values, ..Default::default() };
    let row = one(Signal::Metrics, &metrics(Data::Summary(Summary { data_points: vec![summary] })));
    assert_eq!(row["metric_quantiles"], "[{\"quantile\":0.5,\"value\":9.0}]");
}

#[test]
fn ten_thousand_records_fit_and_too_many_do_not() {
    let transformed = transform(Signal::Logs, &logs(vec![LogRecord::default(); 10_000]), &context()).unwrap();
    assert_eq!(transformed.batch.unwrap().len(), 10_000);
    let refused = transform(Signal::Logs, &logs(vec![LogRecord::default(); 70_000]), &context()).unwrap_err();
    assert_eq!(refused.to_string(), "batch has 70000 events, limit 65536");
}

#[test]
fn no_records_is_no_batch() {
    assert!(transform(Signal::Traces, &[], &context()).unwrap().batch.is_none());
}

#[test]
fn what_is_not_protobuf_is_refused() {
    let refused = transform(Signal::Traces, b"{\"resourceSpans\":[]}", &context());
    assert!(matches!(refused, Err(InvalidRequest::Undecodable(_))));
}

proptest! {
    #[test]
    fn cut_and_damaged_requests_never_panic(cut in 0usize..600, at in 0usize..600, byte in proptest::num::u8::ANY) {
        let mut request = traces(vec![span(vec![kv("a", text("b"))]), span(vec![])]);
        request.truncate(cut.max(1));
        let at = at % request.len();
        request[at] = byte;
        for signal in [Signal::Traces, Signal::Logs, Signal::Metrics] {
            if let Ok(transformed) = transform(signal, &request, &context()) {
                prop_assert!(transformed.batch.is_none_or(|batch| !batch.is_empty()));
            }
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        for signal in [Signal::Traces, Signal::Logs, Signal::Metrics] {
            drop(transform(signal, &bytes, &context()));
        }
    }
}
