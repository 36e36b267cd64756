//! Spans at the edges: wrong, huge, many.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/otlp.rs"]
mod otlp;
#[path = "support/rows.rs"]
mod support;

use opentelemetry_proto::tonic::trace::v1::{Span, Status, span};
use otlp::{damaged, holds, kv, rejected, send, spans_of, text, texts_of};
use support::NOW_US;
use watershed_sources::InvalidRequest;
use watershed_sources::otlp::Signal;

fn request(span: Span) -> Vec<u8> {
    spans_of(Vec::new(), vec![span])
}

#[test]
fn text_that_is_not_utf8_is_a_reject_that_says_where() {
    let sent = Span {
        name: "span name".into(),
        trace_state: "state".into(),
        attributes: vec![kv("key", text("value"))],
        events: vec![span::Event { name: "event name".into(), ..Default::default() }],
        links: vec![span::Link { trace_state: "of link".into(), ..Default::default() }],
        status: Some(Status { message: "message".into(), code: 2 }),
        ..Default::default()
    };
    for (part, field) in [
        ("span name", "name"),
        ("state", "trace_state"),
        ("key", "attribute key"),
        ("value", "attribute value"),
        ("event name", "events.name"),
        ("of link", "links.trace_state"),
        ("message", "status.message"),
    ] {
        rejected(Signal::Traces, &damaged(request(sent.clone()), part), field, "not UTF-8");
    }
    let of_resource = spans_of(texts_of(&[("service.name", "shop")]), vec![Span::default()]);
    assert!(matches!(send(Signal::Traces, &damaged(of_resource, "shop")), Err(InvalidRequest::Undecodable(_))));
}

#[test]
fn unknown_kinds_and_states_are_kept_as_numbers() {
    for number in [-1, 6, 99, i32::MAX, i32::MIN] {
        let status = Some(Status { code: number, message: "why".into() });
        let row = otlp::span(Span { kind: number, status, ..Default::default() });
        holds(&row, &[("status_code", Some(&number.to_string())), ("outcome", None), ("error_message", None)]);
        let data: serde_json::Value = serde_json::from_str(&row["data"]).unwrap();
        assert_eq!(data["kind"], number);
    }
    holds(
        &otlp::span(Span { status: Some(Status::default()), ..Default::default() }),
        &[("status_code", Some("0")), ("outcome", None)],
    );
}

#[test]
fn times_beyond_the_columns_are_the_last_one() {
    let now = NOW_US.to_string();
    let last = [
        ("timestamp", Some(&*now)),
        ("timestamp_ns", Some("9223372036854775807")),
        ("started_at", Some("9223372036854775")),
        ("ended_at", Some("9223372036854775")),
        ("duration_ms", Some("0")),
    ];
    holds(&otlp::span(Span { start_time_unix_nano: u64::MAX, end_time_unix_nano: u64::MAX, ..Default::default() }), &last);
    let long = otlp::span(Span { start_time_unix_nano: 1, end_time_unix_nano: u64::MAX, ..Default::default() });
    holds(&long, &[("started_at", Some("0")), ("duration_ms", Some("18446744073709.55"))]);
}

fn known() -> Span {
    Span { trace_id: vec![1; 16], span_id: vec![2; 8], ..Default::default() }
}

#[test]
fn ten_thousand_spans_are_taken() {
    let span = |number: u64| Span { span_id: (number + 1).to_be_bytes().to_vec(), ..known() };
    let batch = send(Signal::Traces, &spans_of(Vec::new(), (0..10_000).map(span).collect())).unwrap().batch.unwrap();
    let ids: std::collections::BTreeSet<u128> = batch.id_hashes().unwrap().into_iter().collect();
    assert_eq!((batch.len(), ids.len()), (10_000, 10_000));
}

#[test]
fn a_span_that_is_sent_twice_has_one_id() {
    let batch = send(Signal::Traces, &spans_of(Vec::new(), vec![known(), known()])).unwrap().batch.unwrap();
    let hashes = batch.id_hashes().unwrap();
    assert_eq!((hashes.len(), hashes[0]), (2, hashes[1]), "dedupe recognises it");
}
