//! Metrics at the edges: zero, empty, wrong, huge, deep, many.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/otlp.rs"]
mod otlp;
#[path = "support/rows.rs"]
mod support;

use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
    Summary, SummaryDataPoint, metric::Data,
};
use otlp::{damaged, holds, kv, metric, metrics_of, nested, point, rejected, rows, send, text};
use support::NOW_US;
use watershed_schema::limits::{ATTRIBUTE_VALUE_BYTES_MAX, NESTING_MAX};
use watershed_sources::InvalidRequest;
use watershed_sources::otlp::Signal;

fn number(value: Value) -> NumberDataPoint {
    NumberDataPoint { value: Some(value), ..Default::default() }
}

fn gauge(point: NumberDataPoint) -> Data {
    Data::Gauge(Gauge { data_points: vec![point] })
}

fn sum(point: NumberDataPoint, aggregation_temporality: i32) -> Data {
    Data::Sum(Sum { data_points: vec![point], aggregation_temporality, is_monotonic: true })
}

fn histogram(point: HistogramDataPoint) -> Data {
    Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 2 })
}

#[test]
fn zeros_are_values() {
    for value in [Value::AsInt(0), Value::AsDouble(0.0)] {
        holds(&point(gauge(number(value))), &[("metric_value", Some("0")), ("metric_type", Some("gauge"))]);
        holds(&point(sum(number(value), 2)), &[("metric_value", Some("0")), ("metric_type", Some("counter"))]);
    }
    let zeros = HistogramDataPoint { count: 0, sum: Some(0.0), min: Some(0.0), max: Some(0.0), ..Default::default() };
    let expected = [("metric_count", Some("0")), ("metric_sum", Some("0")), ("metric_min", Some("0")), ("metric_max", Some("0"))];
    holds(&point(histogram(zeros)), &expected);
    let exponential = ExponentialHistogram { data_points: vec![ExponentialHistogramDataPoint::default()], ..Default::default() };
    holds(&point(Data::ExponentialHistogram(exponential)), &[("metric_count", Some("0")), ("metric_sum", None)]);
    let summary = Data::Summary(Summary { data_points: vec![SummaryDataPoint::default()] });
    holds(&point(summary), &[("metric_count", Some("0")), ("metric_sum", Some("0"))]);
}

#[test]
fn what_is_absent_stays_so() {
    let now = NOW_US.to_string();
    let expected =
        [("metric_value", None), ("timestamp", Some(&*now)), ("timestamp_ns", None), ("started_at", None), ("labels", None)];
    holds(&point(gauge(NumberDataPoint::default())), &expected);
    let expected = [("metric_sum", None), ("metric_min", None), ("metric_buckets", Some(r#"{"bounds":[],"counts":[]}"#))];
    holds(&point(histogram(HistogramDataPoint::default())), &expected);
    let summary = Data::Summary(Summary { data_points: vec![SummaryDataPoint::default()] });
    holds(&point(summary), &[("metric_quantiles", Some("[]"))]);
    let empty = [Metric::default(), metric(Data::Gauge(Gauge::default()))];
    assert!(rows(Signal::Metrics, &metrics_of(empty.into())).is_empty(), "without points there is no event");
    let nameless = Metric { name: String::new(), ..metric(gauge(NumberDataPoint::default())) };
    holds(&rows(Signal::Metrics, &metrics_of(vec![nameless]))[0], &[("metric_name", Some("")), ("event_name", Some(""))]);
}

#[test]
fn unknown_temporalities_and_flags_are_kept_as_numbers() {
    for number in [3, 99, i32::MAX, -1] {
        let row = point(sum(NumberDataPoint { flags: u32::MAX, ..Default::default() }, number));
        let data: serde_json::Value = serde_json::from_str(&row["data"]).unwrap();
        assert_eq!(
            (data["aggregation_temporality"].as_i64(), data["flags"].as_u64()),
            (Some(number.into()), Some(u32::MAX.into()))
        );
    }
}

#[test]
fn huge_numbers() {
    let row = point(gauge(number(Value::AsInt(i64::MIN))));
    holds(&row, &[("metric_value", Some(&(i64::MIN as f64).to_string()))]);
    assert!(row["data"].contains("-9223372036854775808"), "exact where the column is a double");
    for value in [f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        holds(&point(gauge(number(Value::AsDouble(value)))), &[("metric_value", Some(&value.to_string()))]);
    }
    let point = HistogramDataPoint { bucket_counts: vec![u64::MAX], explicit_bounds: vec![f64::INFINITY], ..Default::default() };
    let expected = r#"{"bounds":["inf"],"counts":[18446744073709551615]}"#;
    holds(&otlp::point(histogram(point)), &[("metric_buckets", Some(expected))]);
    let late = NumberDataPoint { time_unix_nano: u64::MAX, start_time_unix_nano: u64::MAX, ..Default::default() };
    let expected = [("timestamp_ns", Some("9223372036854775807")), ("started_at", Some("18446744073709551"))];
    holds(&otlp::point(gauge(late)), &expected);
}

#[test]
fn what_is_too_big_or_too_deep_is_a_reject() {
    let with =
        |value| metrics_of(vec![metric(gauge(NumberDataPoint { attributes: vec![kv("k", value)], ..Default::default() }))]);
    let big = text(&"x".repeat(ATTRIBUTE_VALUE_BYTES_MAX + 1));
    rejected(Signal::Metrics, &with(big), "attribute value", &format!("limit {ATTRIBUTE_VALUE_BYTES_MAX}"));
    let reason = format!("nested deeper than {NESTING_MAX}");
    rejected(Signal::Metrics, &with(nested(NESTING_MAX + 1)), "attribute value", &reason);
    assert_eq!(rows(Signal::Metrics, &with(nested(NESTING_MAX))).len(), 1);
}

#[test]
fn text_that_is_not_utf8_is_a_reject_of_every_point() {
    let point = NumberDataPoint { attributes: vec![kv("key", text("value"))], ..Default::default() };
    let sent = Metric { name: "the name".into(), description: "about".into(), unit: "unit".into(), ..metric(gauge(point)) };
    for (part, field) in
        [("the name", "name"), ("about", "description"), ("unit", "unit"), ("key", "attribute key"), ("value", "attribute value")]
    {
        rejected(Signal::Metrics, &damaged(metrics_of(vec![sent.clone()]), part), field, "not UTF-8");
    }
}

#[test]
fn packed_numbers_that_are_cut_are_refused() {
    let point = HistogramDataPoint { bucket_counts: vec![7; 3], ..Default::default() };
    let mut request = metrics_of(vec![metric(histogram(point))]);
    let packed = request.iter().position(|byte| *byte == 24).unwrap();
    // Three counts of eight bytes become 23 bytes and one of another field.
    request[packed] = 23;
    assert!(matches!(send(Signal::Metrics, &request), Err(InvalidRequest::Undecodable(_))));
}

#[test]
fn ten_thousand_points_and_equal_ones_are_taken() {
    let data = Data::Gauge(Gauge { data_points: vec![number(Value::AsInt(0)); 10_000] });
    let batch = send(Signal::Metrics, &metrics_of(vec![metric(data)])).unwrap().batch.unwrap();
    let ids: std::collections::BTreeSet<u128> = batch.id_hashes().unwrap().into_iter().collect();
    assert_eq!(ids.len(), 10_000, "points have no key: each is one event");
}
