//! Columns that attributes of OTLP fill.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/otlp.rs"]
mod otlp;
#[path = "support/rows.rs"]
mod support;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, NumberDataPoint, metric::Data,
};
use opentelemetry_proto::tonic::trace::v1::{Span, span};
use otlp::{START_NS, holds, kv, list, object, point, row, spans_of, text, texts_of};
use watershed_sources::otlp::Signal;

fn of_resource(attributes: &[(&str, &str)]) -> support::Texts {
    row(Signal::Traces, &spans_of(texts_of(attributes), vec![Span::default()]))
}

fn of_span(attributes: &[(&str, &str)]) -> support::Texts {
    otlp::span(Span { attributes: texts_of(attributes), ..Default::default() })
}

#[test]
fn a_resource_fills_its_columns() {
    for (attribute, column) in [
        ("service.name", "service_name"),
        ("service.version", "service_version"),
        ("service.instance.id", "service_instance"),
        ("service.namespace", "service_namespace"),
        ("host.name", "host_name"),
        ("host.id", "host_id"),
        ("cloud.provider", "cloud_provider"),
        ("cloud.region", "cloud_region"),
        ("cloud.availability_zone", "cloud_zone"),
        ("cloud.zone", "cloud_zone"),
        ("container.id", "container_id"),
        ("k8s.namespace.name", "k8s_namespace"),
        ("k8s.pod.name", "k8s_pod"),
        ("k8s.deployment.name", "k8s_deployment"),
        ("device.model.name", "device_model"),
        ("device.model.identifier", "device_model"),
        ("device.manufacturer", "device_brand"),
        ("os.name", "os_name"),
        ("os.type", "os_name"),
        ("os.version", "os_version"),
    ] {
        for value in ["1", ""] {
            holds(&of_resource(&[(attribute, value)]), &[(column, Some(value))]);
        }
    }
    let both = of_resource(&[("os.type", "linux"), ("os.name", "Debian"), ("cloud.zone", "b"), ("cloud.availability_zone", "a")]);
    holds(&both, &[("os_name", Some("Debian")), ("cloud_zone", Some("a")), ("ns", Some("acme"))]);
}

#[test]
fn a_records_attributes_fill_their_columns() {
    for (attribute, column) in [
        ("messaging.system", "msg_system"),
        ("messaging.destination.name", "msg_destination"),
        ("messaging.operation.type", "msg_operation"),
        ("messaging.batch.message_count", "msg_batch_size"),
        ("messaging.message.id", "msg_message_id"),
        ("rpc.system", "rpc_system"),
        ("rpc.service", "rpc_service"),
        ("rpc.method", "rpc_method"),
        ("rpc.grpc.status_code", "rpc_status"),
        ("geo.country.iso_code", "geo_country"),
        ("geo.region.iso_code", "geo_region"),
        ("geo.locality.name", "geo_city"),
        ("geo.postal_code", "geo_postal"),
        ("geo.location.lat", "geo_latitude"),
        ("geo.location.lon", "geo_longitude"),
        ("session.id", "session_id"),
        ("exception.stacktrace", "error_stack"),
    ] {
        holds(&of_span(&[(attribute, "5")]), &[(column, Some("5"))]);
    }
    let numbers = vec![kv("geo.location.lat", Any::DoubleValue(-0.5)), kv("messaging.batch.message_count", Any::IntValue(0))];
    let row = otlp::span(Span { attributes: numbers, ..Default::default() });
    holds(&row, &[("geo_latitude", Some("-0.5")), ("msg_batch_size", Some("0"))]);
    holds(&of_span(&[("messaging.batch.message_count", "many")]), &[("msg_batch_size", None)]);
}

#[test]
fn begin_and_end_of_a_span() {
    let span = Span { start_time_unix_nano: START_NS, end_time_unix_nano: START_NS + 2_000_000, ..Default::default() };
    let expected = [("started_at", Some("1789999000123456")), ("ended_at", Some("1789999000125456")), ("duration_ms", Some("2"))];
    holds(&otlp::span(span), &expected);
    holds(&otlp::span(Span::default()), &[("started_at", None), ("ended_at", None), ("duration_ms", None)]);
}

#[test]
fn an_exception_event_says_what_went_wrong() {
    let said = texts_of(&[("exception.type", "E"), ("exception.message", "why"), ("exception.stacktrace", "at f")]);
    let event = |name: &str| span::Event { name: name.into(), attributes: said.clone(), ..Default::default() };
    let row = otlp::span(Span { events: vec![event("other"), event("exception")], ..Default::default() });
    holds(&row, &[("error_type", Some("E")), ("error_message", Some("why")), ("error_stack", Some("at f"))]);
    holds(
        &otlp::span(Span { events: vec![event("other")], ..Default::default() }),
        &[("error_type", None), ("error_stack", None)],
    );
    let attributes = vec![kv("error.type", Any::IntValue(500)), kv("exception.stacktrace", Any::IntValue(1))];
    let row = otlp::span(Span { events: vec![event("exception")], attributes, ..Default::default() });
    holds(&row, &[("error_type", Some("500")), ("error_stack", Some("1")), ("error_message", Some("why"))]);
}

/// Twice in one row: readers that stop at the first would see another value than those that read on.
#[test]
fn the_current_name_wins_whatever_its_type_and_is_written_once() {
    let target = kv("http.target", text("/old?q=old"));
    let attributes = vec![target, kv("url.path", Any::IntValue(7)), kv("url.query", Any::BoolValue(false))];
    let request = spans_of(Vec::new(), vec![Span { attributes, ..Default::default() }]);
    let batch = otlp::send(Signal::Traces, &request).unwrap().batch.unwrap();
    holds(&support::texts(&batch.row(0)), &[("http_path", Some("7")), ("http_query", Some("false"))]);
    let mut fields = watershed_schema::wire::Fields::new(batch.row(0).own);
    let (mut numbers, mut seen) = (Vec::new(), std::collections::BTreeSet::new());
    while let Some((number, _)) = fields.next_field().unwrap() {
        numbers.push(number);
        seen.insert(number);
    }
    assert_eq!(numbers.len(), seen.len(), "each column once: {numbers:?}");
}

#[test]
fn producers_publish_and_consumers_consume() {
    let operation = |kind, attributes: &[(&str, &str)]| {
        otlp::span(Span { kind, attributes: texts_of(attributes), ..Default::default() }).get("msg_operation").cloned()
    };
    assert_eq!(operation(4, &[]).as_deref(), Some("publish"));
    assert_eq!(operation(5, &[]).as_deref(), Some("consume"));
    assert!([0, 1, 2, 3, 6].into_iter().all(|kind| operation(kind, &[]).is_none()));
    assert_eq!(operation(4, &[("messaging.operation", "create")]).as_deref(), Some("create"));
    assert_eq!(operation(5, &[("messaging.operation.type", "")]).as_deref(), Some(""));
}

#[test]
fn labels_are_texts_and_what_is_none_is_json() {
    let attributes = vec![
        kv("list", list(vec![Any::IntValue(1), text("a")])),
        kv("map", object(vec![kv("k", Any::BoolValue(true))])),
        kv("bytes", Any::BytesValue(vec![1, 2])),
        kv("number", Any::DoubleValue(0.5)),
        kv("empty", text("")),
    ];
    let row = point(Data::Gauge(Gauge { data_points: vec![NumberDataPoint { attributes, ..Default::default() }] }));
    let labels: serde_json::Value = serde_json::from_str(&row["labels"]).unwrap();
    assert_eq!(
        labels,
        serde_json::json!({"list": r#"[1,"a"]"#, "map": r#"{"k":true}"#, "bytes": r#"{"$bytes":"AQI="}"#, "number": "0.5", "empty": ""})
    );
}

#[test]
fn the_extremes_of_a_distribution() {
    let point = HistogramDataPoint {
        count: u64::MAX,
        min: Some(-1.0),
        max: Some(0.0),
        start_time_unix_nano: START_NS,
        ..Default::default()
    };
    let row = otlp::point(Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 1 }));
    let expected = [
        ("metric_max", Some("0")),
        ("metric_min", Some("-1")),
        ("metric_count", Some("9223372036854775807")),
        ("started_at", Some("1789999000123456")),
    ];
    holds(&row, &expected);
    let point = ExponentialHistogramDataPoint { max: Some(2.0), count: 1 << 63, ..Default::default() };
    let data = ExponentialHistogram { data_points: vec![point], aggregation_temporality: 1 };
    let expected = [("metric_max", Some("2")), ("metric_count", Some("9223372036854775807"))];
    holds(&otlp::point(Data::ExponentialHistogram(data)), &expected);
}
