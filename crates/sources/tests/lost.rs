//! What used to disappear: events under one id, attributes that nobody counted, requests refused for half a character.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use opentelemetry_proto::tonic::collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span};
use prost::Message as _;
use support::{context, reject, row, rows, send};
use watershed_schema::limits::ATTRIBUTES_MAX;
use watershed_sources::Transformed;
use watershed_sources::otlp::{Signal, transform, transform_json};

fn spans(spans: Vec<Span>) -> Transformed {
    let group = ResourceSpans { scope_spans: vec![ScopeSpans { spans, ..Default::default() }], ..Default::default() };
    let request = ExportTraceServiceRequest { resource_spans: vec![group] }.encode_to_vec();
    transform(Signal::Traces, &request, &context()).unwrap()
}

#[test]
fn spans_whose_ids_are_zeros_are_different_spans() {
    for (trace, id) in [(0, 0), (1, 0), (0, 1)] {
        let span = |name: &str| Span { trace_id: vec![trace; 16], span_id: vec![id; 8], name: name.into(), ..Default::default() };
        let hashes = spans(vec![span("a"), span("b")]).batch.unwrap().id_hashes().unwrap();
        assert_ne!(hashes[0], hashes[1], "trace {trace}, span {id}");
    }
}

fn too_many() -> Vec<KeyValue> {
    let attribute = |number: usize| KeyValue { key: number.to_string(), ..Default::default() };
    (0..ATTRIBUTES_MAX + 2).map(attribute).collect()
}

#[test]
fn attributes_above_the_limit_are_counted_wherever_they_stand() {
    let event = || span::Event { attributes: too_many(), ..Default::default() };
    let link = span::Link { attributes: too_many(), ..Default::default() };
    let span = Span { events: vec![event(), event()], links: vec![link], attributes: too_many(), ..Default::default() };
    assert_eq!(spans(vec![span]).dropped_attributes, 8);

    let exemplar = || Exemplar { filtered_attributes: too_many(), ..Default::default() };
    let point = NumberDataPoint { exemplars: vec![exemplar(), exemplar()], attributes: too_many(), ..Default::default() };
    let data = Some(Data::Gauge(Gauge { data_points: vec![point] }));
    let scope_metrics = vec![ScopeMetrics { metrics: vec![Metric { data, ..Default::default() }], ..Default::default() }];
    let request = ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics { scope_metrics, ..Default::default() }] };
    let taken = transform(Signal::Metrics, &request.encode_to_vec(), &context()).unwrap();
    assert_eq!(taken.dropped_attributes, 6);
}

#[test]
fn an_empty_id_is_none() {
    let events = rows("/v1/events", r#"[{"verb":"a","id":""},{"verb":"b","id":"","actionId":""}]"#);
    assert_ne!(events[0]["id"], events[1]["id"]);
    assert!(!events[0].contains_key("span_id") && !events[1].contains_key("trace_id"));
    reject("/v1/actions", &[("empty", r#"{"id":"","verb":"v","status":"failed"}"#, "id", "is missing")]);
}

#[test]
fn a_tombstone_has_a_place_among_the_records() {
    let taken = send("/v1/cdc", r#"[null,{"op":"c"},null,{"operation":"X","table":"t"}]"#).unwrap();
    let places: Vec<_> = taken.rejects.first.iter().map(|reject| reject.index).collect();
    assert_eq!(places, [1, 3]);
}

#[test]
fn half_a_character_is_a_replacement_character() {
    let track = row("/v1/track", r#"{"event":"cut \ud83d","userId":"u","properties":{"\ude00":"\ud83d"}}"#);
    assert_eq!(track["event_name"], "cut \u{fffd}");
    let properties: serde_json::Value = serde_json::from_str(&track["properties"]).unwrap();
    assert_eq!(properties["\u{fffd}"], "\u{fffd}", "what is stored can be read");
    let whole = row("/v1/track", r#"{"event":"\ud83d\ude00 \\ud83d","userId":"u"}"#);
    assert_eq!(whole["event_name"], "\u{1f600} \\ud83d");
    let spans = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"GET \ud83d"}]}]}]}"#;
    let batch = transform_json(Signal::Traces, spans.as_bytes(), &context()).unwrap().batch.unwrap();
    assert_eq!(support::texts(&batch.row(0))["event_name"], "GET \u{fffd}");
}
