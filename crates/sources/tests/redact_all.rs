//! Redaction of whatever there may be: nothing of what the rules name is left, and nothing else is lost.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::LazyLock;

use proptest::prelude::*;
use regex::Regex;
use serde_json::{Map, Value};
use watershed_schema::{BatchBuilder, Column, EventBatch, EventWriter, KeyValueWriter, Kind, Origin, TenantId, payload};
use watershed_sources::redact::{Pattern, Redaction, Rules};

const KEYS: [&str; 3] = ["secret", "Pass-Word", "e/k"];
const PATTERN: &str = r"\bq\d+z\b|ä+x$";

/// Compiled once: without optimisation that takes long.
static REDACTION: LazyLock<Redaction> = LazyLock::new(|| {
    let patterns = vec![Pattern { pattern: PATTERN.into(), replacement: "[-]".into() }];
    Redaction::new(&Rules { builtin: false, keys: KEYS.map(str::to_owned).into(), patterns }).unwrap()
});
static REGEX: LazyLock<Regex> = LazyLock::new(|| Regex::new(PATTERN).unwrap());

/// What a reader of the rules would do, without caring for speed or bytes.
fn oracle(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| !dropped(name));
            Value::Object(kept.map(|(name, value)| (oracle_text(name), oracle(value))).collect::<Map<_, _>>())
        }
        Value::Array(values) => values.iter().map(oracle).collect(),
        Value::String(text) => oracle_text(text).into(),
        other => other.clone(),
    }
}

fn oracle_text(text: &str) -> String {
    REGEX.replace_all(text, "[-]").into_owned()
}

fn dropped(name: &str) -> bool {
    let name = name.to_lowercase();
    KEYS.iter().map(|key| key.to_lowercase()).any(|key| name == key || name.ends_with(&format!(".{key}")))
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{1,3}",
        Just("secret".into()),
        Just("user.SECRET".into()),
        Just("pass-word".into()),
        Just("e/k".into()),
        Just("secrets".into())
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,8}", "[ q0-9zäx\"\\\\\n/]{0,12}", "q[0-9]{1,3}z", "secret [äx]{1,4}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name(), inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// JSON with escapes where none are needed, and spaces.
fn odd_json(value: &Value, escape: bool) -> String {
    let string = |text: &str| {
        let plain = Value::from(text).to_string();
        if escape { plain.replace('s', "\\u0073").replace('/', "\\/").replace('q', "\\u0071") } else { plain }
    };
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!(" {} : {}", string(name), odd_json(value, escape)));
            format!("{{{}\n}}", members.collect::<Vec<_>>().join(" ,"))
        }
        Value::Array(values) => {
            format!("[ {} ]", values.iter().map(|value| odd_json(value, escape)).collect::<Vec<_>>().join("\t,"))
        }
        Value::String(text) => string(text),
        other => other.to_string(),
    }
}

fn write_otlp(writer: &mut KeyValueWriter<'_>, name: &str, value: &Value) {
    match value {
        Value::Object(members) => {
            writer.object(name, |writer| members.iter().for_each(|(name, value)| write_otlp(writer, name, value)));
        }
        Value::Array(values) => writer.objects(name, values, |writer, value| write_otlp(writer, "item", value)),
        Value::String(text) => writer.str(name, text),
        Value::Bool(truth) => writer.bool(name, *truth),
        Value::Number(number) => writer.int(name, number.as_i64().unwrap()),
        Value::Null => writer.any(name, b""),
    }
}

/// A row: columns of texts, JSON and OTLP.
#[derive(Clone, Debug)]
struct Event {
    texts: Vec<(Column, String)>,
    json: Value,
    otlp: Value,
    escape: bool,
}

fn event() -> impl Strategy<Value = Event> {
    let columns: Vec<_> =
        Column::ALL.iter().copied().filter(|column| column.kind() == Kind::Text && !is_reference(*column)).collect();
    let texts = proptest::collection::btree_map(proptest::sample::select(columns), text(), 0..6);
    (texts, value(), value(), any::<bool>()).prop_map(|(texts, json, otlp, escape)| Event {
        texts: texts.into_iter().collect(),
        json,
        otlp,
        escape,
    })
}

fn is_reference(column: Column) -> bool {
    let ids = ["id", "event_type", "event_name", "ns", "trace_id", "span_id", "parent_id", "root_id", "session_id"];
    ids.contains(&column.name()) || column.spec().origin == Origin::System
}

fn write(event: &Event, row: &mut EventWriter<'_>) {
    row.str(Column::Id, "q1z");
    row.str(Column::EventName, "e");
    row.int(Column::Timestamp, 1);
    event.texts.iter().for_each(|(column, text)| row.str(*column, text));
    row.json(Column::Data, &odd_json(&event.json, event.escape));
    row.str(Column::DbAfter, &odd_json(&event.json, event.escape));
    row.otlp(Column::Attributes, |writer| write_otlp(writer, "all", &event.otlp));
}

fn batch(events: &[Event]) -> EventBatch {
    let mut builder = BatchBuilder::new(TenantId::default(), 0);
    let shared = builder.shared(|row| {
        row.str(Column::EventType, "log");
        row.str(Column::BatchId, "q2z");
        row.otlp(Column::Context, |writer| write_otlp(writer, "all", &events[0].otlp));
    });
    events.iter().for_each(|event| builder.row(Some(shared), |row| write(event, row)));
    builder.finish().unwrap()
}

fn json(batch: &EventBatch, row: usize, column: Column) -> Value {
    let mut text = String::new();
    match batch.row(row).get(column).unwrap().unwrap() {
        watershed_schema::Value::Payload(bytes) => payload::to_json(bytes, &mut text).unwrap(),
        other => text.push_str(other.as_str().unwrap()),
    }
    serde_json::from_str(&text).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_left_is_what_the_rules_leave(events in proptest::collection::vec(event(), 1..4)) {
        let before = batch(&events);
        let after = REDACTION.apply_to(&before).unwrap();
        prop_assert_eq!(before.id_hashes().unwrap(), after.id_hashes().unwrap());
        let read = EventBatch::decode(TenantId::default(), after.body().clone()).unwrap();
        prop_assert_eq!(read.header(), after.header());
        for (number, event) in events.iter().enumerate() {
            for column in [Column::Data, Column::DbAfter, Column::Attributes, Column::Context] {
                prop_assert_eq!(json(&after, number, column), oracle(&json(&before, number, column)));
            }
            for (column, text) in &event.texts {
                let left = after.row(number).get(*column).unwrap().unwrap();
                prop_assert!(!text.contains("secret="), "the strategies make no parameters");
                prop_assert_eq!(left.as_str().unwrap(), oracle_text(text));
            }
        }
    }

    #[test]
    fn any_bytes_in_a_payload_are_no_danger(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in ".{0,32}") {
        let mut builder = BatchBuilder::new(TenantId::default(), 0);
        builder.row(None, |row| {
            row.str(Column::Id, "1");
            row.str(Column::EventType, "log");
            row.str(Column::EventName, "secret");
            row.int(Column::Timestamp, 1);
            row.json(Column::Data, &text);
            row.otlp(Column::Attributes, |writer| writer.raw(&[b"\x0a\x06secret".as_slice(), &bytes].concat()));
            row.otlp(Column::Labels, |writer| writer.any("k", &[b"\x0a\x06secret".as_slice(), &bytes].concat()));
            row.bytes(Column::ReplayData, &bytes);
        });
        prop_assert_eq!(REDACTION.apply_to(&builder.finish().unwrap()).unwrap().len(), 1);
    }
}
