//! Native events over gRPC: what is taken, what is a reject, what is refused.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use prost::Message as _;
use support::{Texts, context, texts};
use watershed_sample::Random;
use watershed_schema::limits::{BATCH_ROWS_MAX, JSON_NESTING_MAX, PAYLOAD_NESTING_MAX, TIME_MICROS_MAX, TIME_MICROS_MIN};
use watershed_schema::proto;
use watershed_schema::proto::payload::Form;
use watershed_schema::wire_messages::opentelemetry::proto::common::v1::{
    AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value,
};
use watershed_sources::{InvalidRequest, Transformed, native};

fn event() -> proto::Event {
    proto::Event { event_type: Some("track".into()), event_name: Some("e".into()), ..Default::default() }
}

fn send(shared: Vec<proto::Event>, events: Vec<proto::Event>) -> Result<Transformed, InvalidRequest> {
    native::transform(&proto::EventBatch { shared, events }.encode_to_vec(), &context())
}

fn row(event: proto::Event) -> Texts {
    let Transformed { batch, rejects, .. } = send(Vec::new(), vec![event]).unwrap();
    assert_eq!(rejects.summary(), "");
    texts(&batch.unwrap().row(0))
}

fn json(text: impl Into<String>) -> Option<proto::Payload> {
    Some(proto::Payload { form: Some(Form::Json(text.into())) })
}

/// Lists in lists.
fn nested(depth: usize) -> Option<proto::Payload> {
    let leaf = AnyValue { value: Some(Value::IntValue(0)) };
    let list = |inner, _| AnyValue { value: Some(Value::ArrayValue(ArrayValue { values: vec![inner] })) };
    let value = Some((0..depth).fold(leaf, list));
    let values = vec![KeyValue { key: "k".into(), value }];
    Some(proto::Payload { form: Some(Form::Otlp(KeyValueList { values })) })
}

/// Only the first of three events is one; the reject of each of the others says so.
fn rejected(bad: proto::Event, field: &str, reason: &str) {
    let shared = proto::Event { id: None, event_type: None, event_name: None, ..bad.clone() };
    let sharing = proto::Event { shared: Some(1), ..event() };
    let Transformed { batch, rejects, .. } = send(vec![shared], vec![event(), bad, sharing]).unwrap();
    assert_eq!((batch.unwrap().len(), rejects.count), (1, 2), "{field}");
    for (reject, index) in rejects.first.iter().zip([1, 2]) {
        assert_eq!((reject.index, reject.field), (index, field));
        assert!(reject.reason.contains(reason), "{}", reject.reason);
    }
}

#[test]
fn a_payload_that_no_query_could_read_is_a_reject() {
    let limit = format!("limit {PAYLOAD_NESTING_MAX}");
    rejected(proto::Event { data: nested(PAYLOAD_NESTING_MAX + 1), ..event() }, "data", &limit);
    rejected(proto::Event { attributes: nested(PAYLOAD_NESTING_MAX + 9), ..event() }, "attributes", &limit);
    rejected(proto::Event { labels: json("not json"), ..event() }, "labels", "is no JSON");
    rejected(proto::Event { context: json(""), ..event() }, "context", "is no JSON");
    rejected(proto::Event { traits: json("{} {}"), ..event() }, "traits", "is no JSON");
    let deep = json("[".repeat(JSON_NESTING_MAX + 1) + &"]".repeat(JSON_NESTING_MAX + 1));
    rejected(proto::Event { properties: deep, ..event() }, "properties", &format!("limit {JSON_NESTING_MAX}"));
}

#[test]
fn a_json_column_that_is_no_json_is_a_reject() {
    let bad = || Some("{".to_owned());
    rejected(proto::Event { db_before: bad(), ..event() }, "db_before", "is no JSON");
    rejected(proto::Event { db_after: bad(), ..event() }, "db_after", "is no JSON");
    rejected(proto::Event { metric_buckets: bad(), ..event() }, "metric_buckets", "is no JSON");
    rejected(proto::Event { metric_quantiles: bad(), ..event() }, "metric_quantiles", "is no JSON");
    assert_eq!(row(proto::Event { db_after: Some("{\"n\": 1.0}".into()), ..event() })["db_after"], "{\"n\": 1.0}");
}

#[test]
fn the_deepest_payloads_are_read_back() {
    let row = row(proto::Event { data: nested(PAYLOAD_NESTING_MAX), attributes: json(" [1e400] "), ..event() });
    let (open, close) = ("[".repeat(PAYLOAD_NESTING_MAX), "]".repeat(PAYLOAD_NESTING_MAX));
    assert_eq!(row["data"], format!(r#"{{"k":{open}0{close}}}"#));
    assert_eq!(row["attributes"], " [1e400] ");
}

#[test]
fn a_payload_without_a_form_is_none() {
    let formless = Some(proto::Payload { form: None });
    let row = row(proto::Event { data: formless.clone(), traits: formless, ..event() });
    assert!(!row.contains_key("data") && !row.contains_key("traits"));
}

#[test]
fn nothing_is_no_batch_and_an_empty_event_is_a_reject() {
    let Transformed { batch, rejects, .. } = send(Vec::new(), Vec::new()).unwrap();
    assert!(batch.is_none() && rejects.count == 0);
    let Transformed { batch, rejects, .. } = send(Vec::new(), vec![proto::Event::default()]).unwrap();
    assert!(batch.is_none());
    assert_eq!((rejects.count, rejects.first[0].field), (1, "event_type"));
}

#[test]
fn zero_false_and_empty_are_values() {
    let row = row(proto::Event {
        actor_id: Some(String::new()),
        http_status: Some(0),
        duration_ms: Some(0.0),
        bot_verified: Some(false),
        timestamp: Some(0),
        replay_data: Some(Vec::new().into()),
        data: json("0"),
        ..event()
    });
    for (column, text) in [
        ("actor_id", ""),
        ("http_status", "0"),
        ("duration_ms", "0"),
        ("bot_verified", "false"),
        ("timestamp", "0"),
        ("replay_data", ""),
        ("data", "0"),
    ] {
        assert_eq!(row.get(column).map(String::as_str), Some(text), "{column}");
    }
}

#[test]
fn a_huge_value_is_kept_whole() {
    let message = "x".repeat(4 << 20);
    assert_eq!(row(proto::Event { log_message: Some(message.clone()), ..event() })["log_message"], message);
}

#[test]
fn ten_thousand_events_and_two_of_one_id_are_taken() {
    let Transformed { batch, rejects, .. } =
        send(vec![event()], vec![proto::Event { shared: Some(1), ..Default::default() }; 10_000]).unwrap();
    assert_eq!((batch.unwrap().len(), rejects.count), (10_000, 0));
    let twice = send(Vec::new(), vec![proto::Event { id: Some("1".into()), ..event() }; 2]).unwrap().batch.unwrap();
    let hashes = twice.id_hashes().unwrap();
    assert_eq!(hashes[0], hashes[1], "dedupe recognises them");
}

#[test]
fn more_events_than_a_batch_may_have_are_refused() {
    let refusal = send(Vec::new(), vec![event(); BATCH_ROWS_MAX + 1]).unwrap_err();
    assert!(refusal.to_string().contains(&format!("limit {BATCH_ROWS_MAX}")), "{refusal}");
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let mut batch = proto::EventBatch { shared: Vec::new(), events: vec![event()] }.encode_to_vec();
    assert_eq!(&batch[batch.len() - 1..], b"e");
    *batch.last_mut().unwrap() = 0xff;
    assert!(matches!(native::transform(&batch, &context()), Err(InvalidRequest::Undecodable(_))));
}

/// Deeper than any decoder goes: refused, and the stack holds.
#[test]
fn nesting_without_end_is_refused() {
    let mut value = Vec::new();
    for _ in 0..10_000 {
        // AnyValue { array_value: ArrayValue { values: [AnyValue] } }
        value = length_delimited(5, &length_delimited(1, &value));
    }
    let entry = length_delimited(1, &length_delimited(2, &value));
    let attributes = length_delimited(161, &length_delimited(2, &entry));
    let batch = length_delimited(2, &[event().encode_to_vec(), attributes].concat());
    assert!(matches!(native::transform(&batch, &context()), Err(InvalidRequest::Undecodable(_))));
}

/// Bits turned over, bytes cut and doubled: what is stored all the same can be read, and is the same the next time.
#[test]
fn damaged_batches_store_nothing_that_cannot_be_read() {
    let rich = proto::Event {
        id: Some("1".into()),
        timestamp: Some(1),
        replay_data: Some(vec![1, 2, 3].into()),
        data: nested(3),
        attributes: json(r#"{"a":[1,{"b":null}]}"#),
        duration_ms: Some(0.5),
        shared: Some(1),
        ..event()
    };
    let batch = proto::EventBatch { shared: vec![rich.clone()], events: vec![rich; 3] }.encode_to_vec();
    let (mut random, mut taken) = (Random::new(0x5eed), 0);
    for _ in 0..5_000 {
        let mut bytes = batch.clone();
        for _ in 0..=random.draw() % 3 {
            let at = usize::try_from(random.draw() % bytes.len() as u64).unwrap();
            match random.draw() % 8 {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, bytes[at]),
                _ => bytes[at] ^= 1 << (random.draw() % 8),
            }
        }
        let Ok(Transformed { batch: Some(batch), .. }) = native::transform(&bytes, &context()) else { continue };
        taken += 1;
        assert_eq!(native::transform(&bytes, &context()).unwrap().batch.unwrap().body(), batch.body());
        for row in batch.rows().map(|row| texts(&row)) {
            assert!(["data", "attributes"].iter().filter_map(|column| row.get(column)).all(|text| is_json(text)), "{row:?}");
            assert!((TIME_MICROS_MIN..=TIME_MICROS_MAX).contains(&row["timestamp"].parse().unwrap()));
        }
    }
    assert!(taken > 500, "most damage is in texts: {taken}");
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok()
}

fn length_delimited(field: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    watershed_schema::wire::put_bytes(&mut out, field, bytes);
    out
}
