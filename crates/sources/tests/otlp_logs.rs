//! Log records at the edges: empty, wrong, huge, deep, many.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/otlp.rs"]
mod otlp;
#[path = "support/rows.rs"]
mod support;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use otlp::{any, damaged, holds, kv, log, logs_of, nested, rejected, send, text};
use support::NOW_US;
use watershed_schema::limits::{ATTRIBUTE_VALUE_BYTES_MAX, NESTING_MAX};
use watershed_sources::InvalidRequest;
use watershed_sources::otlp::Signal;

#[test]
fn an_empty_record_is_an_event_of_its_arrival() {
    let now = NOW_US.to_string();
    let expected = [
        ("event_name", Some("otel.log")),
        ("timestamp", Some(&*now)),
        ("timestamp_ns", None),
        ("log_level", None),
        ("log_level_num", None),
        ("log_message", None),
        ("trace_id", None),
        ("span_id", None),
        ("attributes", None),
    ];
    holds(&log(LogRecord::default()), &expected);
}

#[test]
fn bodies_of_every_type() {
    for (body, message) in [
        (text(""), ""),
        (Any::IntValue(0), "0"),
        (Any::IntValue(i64::MIN), "-9223372036854775808"),
        (Any::BoolValue(false), "false"),
        (Any::DoubleValue(f64::NAN), r#"{"$double":"NaN"}"#),
        (Any::BytesValue(Vec::new()), r#"{"$bytes":""}"#),
        (otlp::list(Vec::new()), "[]"),
        (otlp::object(Vec::new()), "{}"),
    ] {
        let row = log(LogRecord { body: Some(any(body)), ..Default::default() });
        assert_eq!(row["log_message"], message);
    }
}

#[test]
fn severities_without_a_name() {
    let level = |severity_number| log(LogRecord { severity_number, ..Default::default() });
    for (number, word) in [(-1, "trace"), (i32::MIN, "trace"), (1, "trace"), (24, "fatal"), (25, "fatal"), (i32::MAX, "fatal")] {
        let row = level(number);
        holds(&row, &[("log_level", Some(word)), ("log_level_num", Some(&number.to_string()))]);
    }
}

#[test]
fn times_beyond_the_column_are_the_last_one() {
    let row = log(LogRecord { time_unix_nano: u64::MAX, ..Default::default() });
    holds(&row, &[("timestamp", Some(&NOW_US.to_string())), ("timestamp_ns", Some("9223372036854775807"))]);
}

#[test]
fn ids_of_zeros_are_none_and_of_another_length_a_reject() {
    let zeros = log(LogRecord { trace_id: vec![0; 16], span_id: vec![0; 8], ..Default::default() });
    holds(&zeros, &[("trace_id", None), ("span_id", None)]);
    let short = logs_of(vec![LogRecord { span_id: vec![1; 7], ..Default::default() }]);
    rejected(Signal::Logs, &short, "span_id", "7 bytes, must be 8");
}

#[test]
fn what_is_too_big_or_too_deep_is_a_reject() {
    let with_body = |body| logs_of(vec![LogRecord { body: Some(any(body)), ..Default::default() }]);
    let with_attribute = |value| logs_of(vec![LogRecord { attributes: vec![kv("k", value)], ..Default::default() }]);
    let big = || text(&"x".repeat(ATTRIBUTE_VALUE_BYTES_MAX + 1));
    rejected(Signal::Logs, &with_attribute(big()), "attribute value", &format!("limit {ATTRIBUTE_VALUE_BYTES_MAX}"));
    let reason = format!("nested deeper than {NESTING_MAX}");
    rejected(Signal::Logs, &with_body(nested(NESTING_MAX + 1)), "attribute value", &reason);
    rejected(Signal::Logs, &with_attribute(nested(NESTING_MAX + 1)), "attribute value", &reason);
    assert!(send(Signal::Logs, &with_attribute(nested(NESTING_MAX))).unwrap().batch.is_some());
    let large = "x".repeat(1 << 20);
    let row = log(LogRecord { body: Some(any(text(&large))), ..Default::default() });
    assert_eq!(row["log_message"], large, "a body may be longer than an attribute");
}

#[test]
fn text_that_is_not_utf8_is_a_reject_that_says_where() {
    let record = LogRecord {
        severity_text: "severity".into(),
        body: Some(any(text("message"))),
        attributes: vec![kv("key", text("value"))],
        event_name: "name".into(),
        ..Default::default()
    };
    for (part, field) in [
        ("severity", "severity_text"),
        ("message", "attribute value"),
        ("key", "attribute key"),
        ("value", "attribute value"),
        ("name", "event_name"),
    ] {
        rejected(Signal::Logs, &damaged(logs_of(vec![record.clone()]), part), field, "not UTF-8");
    }
}

#[test]
fn fields_of_another_wire_type_are_skipped_or_refused() {
    // LogRecord { severity_number: fixed32, body: varint }: no such field, as every protobuf reader sees it.
    let record = [2 << 3 | 5, 1, 0, 0, 0, 5 << 3, 1];
    let mut wrapped = record.to_vec();
    for field in [2, 2, 1] {
        let mut outer = Vec::new();
        watershed_schema::wire::put_bytes(&mut outer, field, &wrapped);
        wrapped = outer;
    }
    assert_eq!(send(Signal::Logs, &wrapped).unwrap().batch.unwrap().len(), 1);
    assert!(matches!(send(Signal::Logs, &wrapped[..wrapped.len() - 1]), Err(InvalidRequest::Undecodable(_))));
}

#[test]
fn ten_thousand_records_and_equal_ones_are_taken() {
    let batch = send(Signal::Logs, &logs_of(vec![LogRecord::default(); 10_000])).unwrap().batch.unwrap();
    let ids: std::collections::BTreeSet<u128> = batch.id_hashes().unwrap().into_iter().collect();
    assert_eq!(ids.len(), 10_000, "records have no key: each is one event");
}
