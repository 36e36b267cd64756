//! Small requests that say something once for many events: refused before they fill the memory, and the refusal tells
//! where it stopped.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use opentelemetry_proto::tonic::collector::{logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use support::{context, send};
use watershed_schema::limits::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, BATCH_UNFOLDED_BYTES_MAX};
use watershed_schema::{BatchError, proto};
use watershed_sources::otlp::{self, Signal};
use watershed_sources::{InvalidRequest, Transformed, native};

const MIB: usize = 1024 * 1024;

/// Stopped at the limit: the batch never held more than one event above it.
fn stopped_at_the_limit(what: &str, answer: Result<Transformed, InvalidRequest>) {
    let refusal = answer.expect_err(what);
    let InvalidRequest::Limit(BatchError::TooManyBytes(bytes)) = refusal else { panic!("{what}: {refusal}") };
    assert!(bytes <= BATCH_BYTES_MAX + 4 * MIB, "{what}: grew to {bytes} bytes");
    assert!(refusal.to_string().contains(&format!("limit {BATCH_BYTES_MAX}")), "{refusal}");
}

#[test]
fn what_an_envelope_says_for_all_of_its_records() {
    let envelope =
        |list: &str, record: &str| format!(r#"{{"x":"{}","{list}":[{}]}}"#, "x".repeat(MIB), vec![record; 200].join(","));
    let metric = r#"{"name":"LCP","value":1}"#;
    stopped_at_the_limit("web vitals", send("/v1/vitals", &envelope("metrics", metric)));
    let event = r#"{"type":2,"timestamp":1,"sessionId":"s"}"#;
    stopped_at_the_limit("replay", send("/v1/replay", &envelope("events", event)));
    let entry = r#"{"name":"https://a/","initiatorType":"img"}"#;
    stopped_at_the_limit("snippet", send("/v1/snippet", &envelope("entries", entry)));
}

fn text(key: &str, bytes: usize) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue("x".repeat(bytes))) });
    KeyValue { key: key.into(), value, ..Default::default() }
}

/// 32 attributes of 32 KiB.
fn big_resource() -> Option<Resource> {
    Some(Resource { attributes: (0..32).map(|number| text(&number.to_string(), MIB / 32)).collect(), ..Default::default() })
}

fn logs(scope_logs: Vec<ScopeLogs>) -> Vec<u8> {
    let group = ResourceLogs { resource: big_resource(), scope_logs, ..Default::default() };
    ExportLogsServiceRequest { resource_logs: vec![group] }.encode_to_vec()
}

#[test]
fn a_resource_of_many_scopes() {
    let scope = ScopeLogs { log_records: vec![LogRecord::default()], ..Default::default() };
    let request = logs(vec![scope; 200]);
    stopped_at_the_limit("scopes", otlp::transform(Signal::Logs, &request, &context()));
}

#[test]
fn a_resource_of_many_records_is_as_big_for_readers() {
    let scope = ScopeLogs { log_records: vec![LogRecord::default(); 2_000], ..Default::default() };
    let refusal = otlp::transform(Signal::Logs, &logs(vec![scope]), &context()).expect_err("2 GiB for readers");
    assert!(refusal.to_string().contains(&format!("limit {BATCH_UNFOLDED_BYTES_MAX}")), "{refusal}");
}

/// Two metrics of so many points.
fn metrics(description: String, points: usize) -> Vec<u8> {
    let point = NumberDataPoint { value: Some(number_data_point::Value::AsInt(1)), ..Default::default() };
    let data = Some(Data::Gauge(Gauge { data_points: vec![point; points] }));
    let metrics = vec![Metric { name: "m".into(), description, data, ..Default::default() }; 2];
    let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
    let group = ResourceMetrics { scope_metrics, ..Default::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![group] }.encode_to_vec()
}

#[test]
fn the_description_of_a_metric_with_many_points() {
    stopped_at_the_limit("points", otlp::transform(Signal::Metrics, &metrics("x".repeat(MIB), 200), &context()));
}

#[test]
fn points_count_as_events_before_they_are_read() {
    let refusal = otlp::transform(Signal::Metrics, &metrics(String::new(), 70_000), &context()).unwrap_err();
    assert_eq!(refusal, InvalidRequest::Limit(BatchError::TooManyRows(70_000)));
}

#[test]
fn records_of_several_envelopes_count_together() {
    let envelope = format!(r#"{{"metrics":[{}]}}"#, vec![r#"{"name":"LCP","value":1}"#; 40_000].join(","));
    let refusal = send("/v1/vitals", &format!("{envelope}\n{envelope}\n{envelope}")).unwrap_err();
    assert_eq!(refusal, InvalidRequest::Limit(BatchError::TooManyRows(BATCH_ROWS_MAX + 1)));
}

/// Objects that say nothing: three bytes each as JSON, hundreds in memory.
#[test]
fn otlp_in_json_is_counted_before_it_is_read() {
    let empty = |count| vec!["{}"; count].join(",");
    let spans = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#, empty(BATCH_ROWS_MAX + 1));
    let refusal = otlp::transform_json(Signal::Traces, spans.as_bytes(), &context()).unwrap_err();
    assert_eq!(refusal, InvalidRequest::Limit(BatchError::TooManyRows(BATCH_ROWS_MAX + 1)));
    let links = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"links":[{}]}}]}}]}}]}}"#, empty(2_000_000));
    let refusal = otlp::transform_json(Signal::Traces, links.as_bytes(), &context()).unwrap_err();
    assert!(refusal.to_string().contains("limit 1048576"), "{refusal}");
}

fn native(shared: Vec<proto::Event>, events: Vec<proto::Event>) -> Result<Transformed, InvalidRequest> {
    native::transform(&proto::EventBatch { shared, events }.encode_to_vec(), &context())
}

fn event() -> proto::Event {
    proto::Event { event_type: Some("track".into()), event_name: Some("e".into()), ..Default::default() }
}

#[test]
fn native_events_share_a_name_or_anything() {
    let sharing = proto::Event { event_name: None, shared: Some(1), ..event() };
    let name = proto::Event { event_name: Some("x".repeat(MIB)), ..Default::default() };
    stopped_at_the_limit("a shared name", native(vec![name], vec![sharing.clone(); 200]));
    let message = proto::Event { log_message: Some("x".repeat(MIB)), ..Default::default() };
    let refusal = native(vec![message], vec![sharing; 2_000]).expect_err("2 GiB for readers");
    assert!(refusal.to_string().contains(&format!("limit {BATCH_UNFOLDED_BYTES_MAX}")), "{refusal}");
}

/// Two bytes on the wire, four kilobytes in memory.
#[test]
fn native_events_are_counted_before_they_are_read() {
    for field in [1, 2] {
        let batch = [field << 3 | 2, 0].repeat(BATCH_ROWS_MAX + 1);
        let refusal = native::transform(&batch, &context()).unwrap_err();
        assert_eq!(refusal, InvalidRequest::Limit(BatchError::TooManyRows(BATCH_ROWS_MAX + 1)), "field {field}");
    }
}

#[test]
fn the_context_of_a_segment_batch_counts_for_each_message() {
    let context = "x".repeat(30 * 1024);
    let message = r#"{"type":"track","event":"e","userId":"u"}"#;
    let big = format!(r#"{{"type":"track","event":"e","userId":"u","properties":{{"x":"{}"}}}}"#, "x".repeat(3 * 1024));
    let request = format!(r#"{{"context":{{"x":"{context}"}},"batch":[{message},{big}]}}"#);
    let Transformed { batch, rejects, .. } = send("/v1/batch", &request).unwrap();
    assert_eq!((batch.unwrap().len(), rejects.count), (1, 1));
    assert!(rejects.summary().contains("with the batch's context, limit 32768"), "{}", rejects.summary());
}
