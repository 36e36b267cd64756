//! Requests of OTLP in short, and their rows as text.

#![allow(dead_code, clippy::unwrap_used, reason = "tests; each takes what it needs")]

use opentelemetry_proto::tonic::collector::{logs::v1::*, metrics::v1::*, trace::v1::*};
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value as Any};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics, metric::Data};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use watershed_sources::otlp::{Signal, transform};
use watershed_sources::{InvalidRequest, Transformed};

use crate::support::{Texts, context, texts};

pub(crate) const START_NS: u64 = 1_789_999_000_123_456_789;

pub(crate) fn any(value: Any) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub(crate) fn text(value: &str) -> Any {
    Any::StringValue(value.into())
}

pub(crate) fn kv(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.into(), value: Some(any(value)), ..Default::default() }
}

pub(crate) fn texts_of(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(key, value)| kv(key, text(value))).collect()
}

pub(crate) fn list(values: Vec<Any>) -> Any {
    Any::ArrayValue(ArrayValue { values: values.into_iter().map(any).collect() })
}

pub(crate) fn object(values: Vec<KeyValue>) -> Any {
    Any::KvlistValue(KeyValueList { values })
}

/// Lists in lists.
pub(crate) fn nested(depth: usize) -> Any {
    (0..depth).fold(Any::IntValue(0), |inner, _| list(vec![inner]))
}

pub(crate) fn spans_of(attributes: Vec<KeyValue>, spans: Vec<Span>) -> Vec<u8> {
    let resource = Some(Resource { attributes, ..Default::default() });
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    let group = ResourceSpans { resource, scope_spans, ..Default::default() };
    ExportTraceServiceRequest { resource_spans: vec![group] }.encode_to_vec()
}

pub(crate) fn logs_of(log_records: Vec<LogRecord>) -> Vec<u8> {
    let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
    let group = ResourceLogs { scope_logs, ..Default::default() };
    ExportLogsServiceRequest { resource_logs: vec![group] }.encode_to_vec()
}

pub(crate) fn metrics_of(metrics: Vec<Metric>) -> Vec<u8> {
    let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
    let group = ResourceMetrics { scope_metrics, ..Default::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![group] }.encode_to_vec()
}

pub(crate) fn metric(data: Data) -> Metric {
    Metric { name: "m".into(), data: Some(data), ..Default::default() }
}

pub(crate) fn send(signal: Signal, request: &[u8]) -> Result<Transformed, InvalidRequest> {
    transform(signal, request, &context())
}

/// All rows of a request in which nothing is rejected.
pub(crate) fn rows(signal: Signal, request: &[u8]) -> Vec<Texts> {
    let Transformed { batch, rejects, .. } = send(signal, request).unwrap();
    assert_eq!(rejects.summary(), "");
    batch.map(|batch| batch.rows().map(|row| texts(&row)).collect()).unwrap_or_default()
}

pub(crate) fn row(signal: Signal, request: &[u8]) -> Texts {
    let mut rows = rows(signal, request);
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

pub(crate) fn span(span: Span) -> Texts {
    row(Signal::Traces, &spans_of(Vec::new(), vec![span]))
}

pub(crate) fn log(log: LogRecord) -> Texts {
    row(Signal::Logs, &logs_of(vec![log]))
}

pub(crate) fn point(data: Data) -> Texts {
    row(Signal::Metrics, &metrics_of(vec![metric(data)]))
}

/// The columns have these texts; none: the column is empty.
pub(crate) fn holds(row: &Texts, expected: &[(&str, Option<&str>)]) {
    for (column, text) in expected {
        assert!(watershed_schema::Column::from_name(column).is_some(), "no column {column}");
        assert_eq!(row.get(column).map(String::as_str), *text, "{column}");
    }
}

/// The only record is a reject of this field with this reason.
pub(crate) fn rejected(signal: Signal, request: &[u8], field: &str, reason: &str) {
    let Transformed { batch, rejects, .. } = send(signal, request).unwrap();
    assert!(batch.is_none() && rejects.count == 1, "{field}");
    assert_eq!(rejects.first[0].field, field);
    assert!(rejects.first[0].reason.contains(reason), "{}", rejects.first[0].reason);
}

/// The same request with one text in it damaged: no UTF-8 any more.
pub(crate) fn damaged(mut request: Vec<u8>, text: &str) -> Vec<u8> {
    let at = request.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    request[at] = 0xff;
    request
}
