//! Redaction: what the rules name is nowhere in a batch afterwards, from whichever source, and all else is as it was.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use std::fmt::Write as _;
use std::sync::LazyLock;

use serde_json::Value;
use support::{Texts, context, send, texts};
use watershed_schema::{BatchBuilder, Column, EventBatch, TenantId};
use watershed_sources::Transformed;
use watershed_sources::otlp::{Signal, transform_json};
use watershed_sources::redact::{Pattern, Redaction, Redactions, Rules, Settings};
use watershed_sources::registry::{self, Source};

const CARD: &str = "4111 1111 1111 1111";

fn rules(builtin: bool, keys: &[&str], patterns: &[(&str, &str)]) -> Redaction {
    let pattern =
        |(pattern, replacement): &(&str, &str)| Pattern { pattern: (*pattern).into(), replacement: (*replacement).into() };
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    Redaction::new(&Rules { builtin, keys, patterns: patterns.iter().map(pattern).collect() }).unwrap()
}

/// Compiled once: without optimisation that takes long.
fn usual() -> &'static Redaction {
    static USUAL: LazyLock<Redaction> = LazyLock::new(|| rules(true, &["x-hidden"], &[("[a-z.]+@[a-z.]+", "[mail]")]));
    &USUAL
}

fn rows(batch: &EventBatch) -> Vec<Texts> {
    batch.rows().map(|row| texts(&row)).collect()
}

fn batch(fill: impl Fn(&mut watershed_schema::EventWriter<'_>)) -> EventBatch {
    let mut builder = BatchBuilder::new(TenantId::new("acme").unwrap(), 0);
    builder.row(None, |row| {
        row.str(Column::Id, "1");
        row.str(Column::EventType, "track");
        row.int(Column::Timestamp, 1);
        fill(row);
    });
    builder.finish().unwrap()
}

/// One event with a text column or a payload column.
fn redacted(redaction: &Redaction, column: Column, text: &str) -> Option<String> {
    let batch = batch(|row| {
        match column.kind() {
            watershed_schema::Kind::Payload => row.json(column, text),
            watershed_schema::Kind::Bytes => row.bytes(column, text.as_bytes()),
            _ => row.str(column, text),
        }
        if column != Column::EventName {
            row.str(Column::EventName, "e");
        }
    });
    rows(&redaction.apply_to(&batch).unwrap()).remove(0).remove(column.name())
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// What is true of every redacted batch.
fn is_whole(before: &EventBatch, after: &EventBatch) {
    assert_eq!(before.id_hashes().unwrap(), after.id_hashes().unwrap(), "ids stay, in order");
    let read = EventBatch::decode(after.tenant().clone(), after.body().clone()).unwrap();
    assert_eq!(read.header(), after.header(), "header and filter are those of the rows");
    for (row, old) in rows(after).iter().zip(rows(before)) {
        for column in ["id", "event_type", "ns", "timestamp", "day", "hour", "event_source", "batch_id", "trace_id", "session_id"]
        {
            assert_eq!(row.get(column), old.get(column), "{column}");
        }
        for payload in ["data", "context", "attributes", "properties", "traits", "labels", "db_before", "db_after"] {
            row.get(payload).iter().for_each(|json| drop(serde_json::from_str::<Value>(json).unwrap()));
        }
    }
}

/// Every object of a JSON, as a pointer.
fn objects(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.push(pointer.to_owned());
            members.iter().for_each(|(name, value)| objects(value, &format!("{pointer}/{}", name.replace('/', "~1")), found));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(at, value)| objects(value, &format!("{pointer}/{at}"), found));
        }
        _ => {}
    }
}

const SECRETS: [&str; 5] = ["hunter2", CARD, "ann@acme.example", "tokentokentokentoken", "nested-secret"];

fn inject(value: &Value, pointer: &str) -> String {
    let mut value = value.clone();
    let object = value.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
    let note = format!(r#"{{"Set-Cookie":"{}","kept":"yes"}}"#, SECRETS[4]);
    object.insert("Password".into(), Value::from(vec![SECRETS[0]]));
    object.insert("x_note".into(), format!("{CARD}, {}, bearer {}!", SECRETS[2], SECRETS[3]).into());
    object.insert("x_log".into(), note.into());
    value.to_string()
}

/// How many of a source's objects take what is put into them.
fn injected(source: &Source) -> usize {
    let values: Vec<Value> = serde_json::Deserializer::from_str(source.example).into_iter().collect::<Result<_, _>>().unwrap();
    let mut taken = 0;
    for value in values {
        let mut pointers = Vec::new();
        objects(&value, "", &mut pointers);
        taken += pointers.iter().filter(|pointer| is_redacted(source, &inject(&value, pointer))).count();
    }
    taken
}

/// Whether the request is taken with its secrets; then they are gone afterwards.
fn is_redacted(source: &Source, request: &str) -> bool {
    let Ok(Transformed { batch: Some(before), rejects, .. }) = source.endpoints[0].transform(request.as_bytes(), &context())
    else {
        return false;
    };
    if rejects.count > 0 || !has(before.body(), SECRETS[0]) {
        return false;
    }
    let after = usual().apply_to(&before).unwrap();
    is_whole(&before, &after);
    for secret in SECRETS {
        assert!(!has(after.body(), secret), "{}: {secret} of {request} is in {:?}", source.name, rows(&after));
    }
    assert!(has(after.body(), "[mail]") && has(after.body(), "kept"), "{}: the rest stays: {request}", source.name);
    true
}

#[test]
fn secrets_are_taken_out_of_what_every_source_makes() {
    for source in registry::ALL.iter().filter(|source| source.name != "otel") {
        assert!(injected(source) > 0, "{}: nothing in the example takes free members", source.name);
    }
}

#[test]
fn examples_without_secrets_are_left_alone() {
    for source in registry::ALL.iter().filter(|source| source.name != "otel" && !source.example.contains("cookie")) {
        let taken = source.endpoints[0].transform(source.example.as_bytes(), &context()).unwrap();
        let before = taken.batch.clone().unwrap();
        let after = usual().apply(taken).batch.unwrap();
        assert_eq!(rows(&before), rows(&after), "{}", source.name);
    }
}

/// Attributes with one secret of each kind, in every form that a value has.
fn attributes() -> String {
    let text = |text: &str| format!(r#"{{"stringValue":"{text}"}}"#);
    let mut list = String::new();
    for (key, value) in [
        ("http.request.header.authorization", text(SECRETS[0])),
        ("password", format!(r#"{{"kvlistValue":{{"values":[{{"key":"x","value":{}}}]}}}}"#, text(SECRETS[0]))),
        (
            "list",
            format!(
                r#"{{"arrayValue":{{"values":[{{"kvlistValue":{{"values":[{{"key":"API_KEY","value":{}}}]}}}},{}]}}}}"#,
                text(SECRETS[0]),
                text(SECRETS[2])
            ),
        ),
        ("note", text(&format!("{CARD}, bearer {}!", SECRETS[3]))),
        ("log", text(&format!(r#"{{\"cookie\":\"{}\",\"kept\":1}}"#, SECRETS[4]))),
        ("http.url", text("https://x.example/?a=1&access_token=tokentokentokentoken&b=2")),
        ("bytes", r#"{"bytesValue":"YW5uQGFjbWUuZXhhbXBsZQ=="}"#.to_owned()),
        ("count", r#"{"intValue":"9223372036854775807"}"#.to_owned()),
    ] {
        write!(list, r#"{}{{"key":"{key}","value":{value}}}"#, if list.is_empty() { "" } else { "," }).unwrap();
    }
    format!("[{list}]")
}

#[test]
fn secrets_are_taken_out_of_all_signals_of_opentelemetry() {
    let attributes = attributes();
    let ids = r#""traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174""#;
    let groups = |all: &str, one: &str, record: &str| {
        format!(
            r#"{{"resource{all}":[{{"resource":{{"attributes":{attributes}}},"scope{all}":[{{"scope":{{"name":"s","attributes":{attributes}}},"{one}":[{record}]}}]}}]}}"#
        )
    };
    let span = format!(
        r#"{{{ids},"name":"to ann@acme.example","startTimeUnixNano":"1790000000000000000","endTimeUnixNano":"1790000000000000001","attributes":{attributes},
        "events":[{{"name":"e","timeUnixNano":"1790000000000000000","attributes":{attributes}}}],"links":[{{{ids},"attributes":{attributes}}}]}}"#
    );
    let body = format!(r#"{{"kvlistValue":{{"values":{attributes}}}}}"#);
    let log = format!(r#"{{{ids},"timeUnixNano":"1790000000000000000","body":{body},"attributes":{attributes}}}"#);
    let exemplar = format!(r#"[{{"timeUnixNano":"1790000000000000000","asInt":"1","filteredAttributes":{attributes}}}]"#);
    let point =
        format!(r#"{{"timeUnixNano":"1790000000000000000","asInt":"3","attributes":{attributes},"exemplars":{exemplar}}}"#);
    let metric = format!(r#"{{"name":"m","sum":{{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{point}]}}}}"#);
    for (signal, request) in [
        (Signal::Traces, groups("Spans", "spans", &span)),
        (Signal::Logs, groups("Logs", "logRecords", &log)),
        (Signal::Metrics, groups("Metrics", "metrics", &metric)),
    ] {
        let before = transform_json(signal, request.as_bytes(), &context()).unwrap().batch.unwrap();
        SECRETS.iter().for_each(|secret| assert!(has(before.body(), secret), "{signal:?}: {secret} was there"));
        let after = usual().apply_to(&before).unwrap();
        is_whole(&before, &after);
        let row = rows(&after).remove(0);
        SECRETS.iter().for_each(|secret| assert!(!has(after.body(), secret), "{signal:?}: {secret}: {row:?}"));
        assert!(row.values().all(|text| !text.contains("password")), "{signal:?}: {row:?}");
        let number = if signal == Signal::Metrics { &row["labels"] } else { &row["attributes"] };
        assert!(number.contains("9223372036854775807"), "{signal:?}: numbers stay exact: {row:?}");
    }
}

#[test]
fn keys_drop_columns_and_patterns_change_texts() {
    let keys = rules(false, &["HTTP_URL", "traits", "geo_latitude", "db_after"], &[]);
    let before = batch(|row| {
        row.str(Column::EventName, "e");
        row.str(Column::HttpUrl, "u");
        row.str(Column::HttpHost, "h");
        row.float(Column::GeoLatitude, 1.0);
        row.str(Column::DbAfter, "{}");
        row.json(Column::Traits, "{}");
        row.json(Column::Data, r#"{"traits":1,"x":{"http_url":2}}"#);
    });
    let after = rows(&keys.apply_to(&before).unwrap()).remove(0);
    assert_eq!(after.keys().copied().collect::<Vec<_>>(), ["data", "event_name", "event_type", "http_host", "id", "timestamp"]);
    assert_eq!(after["data"], r#"{"x":{}}"#);

    let patterns = rules(false, &[], &[(r"(\d+)-(?P<last>\d{2})", "$last$$"), ("a", "b"), ("^b", "c")]);
    for column in [Column::HttpUrl, Column::EventName, Column::LogMessage, Column::ResourceId, Column::CorrelationId] {
        assert_eq!(redacted(&patterns, column, "a 123-45 ab").as_deref(), Some("c 45$ bb"), "{column:?}");
    }
    let stay =
        [Column::TraceId, Column::SpanId, Column::ParentId, Column::RootId, Column::SessionId, Column::BatchId, Column::Day];
    for column in stay {
        assert_eq!(redacted(&patterns, column, "a 123-45").as_deref(), Some("a 123-45"), "{column:?}");
    }
}

#[test]
fn parameters_of_urls_and_forms_lose_their_value() {
    let redaction = rules(true, &["x-hidden"], &[]);
    for (sent, kept) in [
        ("https://x.example/a?access_token=abc&b=1#c", "https://x.example/a?access_token=&b=1#c"),
        ("?b=1&PASSWORD=abc", "?b=1&PASSWORD="),
        ("password=abc", "password="),
        ("user[password]=abc&x=1", "user[password]=&x=1"),
        (r#"login user=ann password="a b c" ok"#, "login user=ann password= ok"),
        ("old_password=abc passwords=abc", "old_password=abc passwords=abc"),
        ("x-hidden=1; y=2", "x-hidden=; y=2"),
        ("Authorization: Bearer abcdefghijklmnopqrst==", "Authorization: Bearer [redacted]"),
        ("the bearer of this", "the bearer of this"),
    ] {
        assert_eq!(redacted(&redaction, Column::HttpQuery, sent).as_deref(), Some(kept), "{sent}");
        let json = serde_json::json!({ "deep": [sent] }).to_string();
        let expected = serde_json::json!({ "deep": [kept] }).to_string();
        assert_eq!(redacted(&redaction, Column::Data, &json).as_deref(), Some(expected.as_str()), "{sent}");
    }
}

#[test]
fn json_in_columns_and_bytes_is_looked_into_and_what_cannot_be_read_disappears() {
    let redaction = usual();
    for column in [Column::Data, Column::DbBefore, Column::DbAfter, Column::LogMessage, Column::ReplayData] {
        let sent = r#"{"cookie":1,"n":1.10,"to":"a@b","s":"\u00e4"}"#;
        assert_eq!(redacted(redaction, column, sent).as_deref(), Some(r#"{"n":1.10,"to":"[mail]","s":"\u00e4"}"#), "{column:?}");
    }
    for column in [Column::Data, Column::DbAfter, Column::ReplayData] {
        for cut in [r#"{"cookie":1"#, r#"{"co\u006fkie":1"#] {
            assert_eq!(redacted(redaction, column, cut), None, "{column:?}");
        }
        assert_eq!(redacted(redaction, column, "no json of a@b").as_deref(), Some("no json of [mail]"), "{column:?}");
    }
    let picture = batch(|row| {
        row.str(Column::EventName, "to a@b");
        row.bytes(Column::ReplayData, b"\xff\x00 a@b");
    });
    assert_eq!(
        redaction.apply_to(&picture).unwrap().row(0).get(Column::ReplayData).unwrap(),
        picture.row(0).get(Column::ReplayData).unwrap()
    );
}

#[test]
fn json_hidden_deep_in_texts_is_no_way_around() {
    let mut text = r#"{"password":"hunter2"}"#.to_owned();
    for _ in 0..12 {
        text = serde_json::json!([text]).to_string();
        assert!(!redacted(usual(), Column::Data, &text).unwrap().contains("hunter2"));
    }
    let mut linear = r#"{"password":"hunter2"}"#.to_owned();
    for _ in 0..100 {
        linear = format!("[\"{}\"]", linear.replace('\\', "\\u005c").replace('"', "\\u0022"));
    }
    assert!(!redacted(usual(), Column::Data, &linear).unwrap().contains("hunter2"));
}

#[test]
fn what_replacements_may_add_is_bounded() {
    let long = "x".repeat(256);
    let grow = rules(false, &[], &[("a", &long), ("(x+)", "$1$1$1$1$1$1$1$1")]);
    let huge = redacted(&grow, Column::LogMessage, &"a".repeat(70_000));
    assert_eq!(huge.as_deref(), Some(""), "emptied rather than grown to gigabytes");
    let many = format!("[{}]", vec!["\"a\""; 80_000].join(","));
    assert!(redacted(&grow, Column::Data, &many).unwrap().len() < many.len() + (20 << 20));
}

#[test]
fn a_retry_has_the_same_ids_and_filters_fit_what_is_left() {
    let sent = r#"{"userId":"u","event":"to ann@acme.example","context":{"sessionId":"s-1"},"properties":{"password":"x"}}"#;
    let (before, after) = (send("/v1/track", sent).unwrap(), usual().apply(send("/v1/track", sent).unwrap()));
    let (before, after) = (before.batch.unwrap(), after.batch.unwrap());
    is_whole(&before, &after);
    assert_eq!(rows(&after)[0]["event_name"], "to [mail]");
    assert_eq!(rows(&after)[0]["properties"], "{}");
    let without = rules(false, &["session_id"], &[]).apply_to(&before).unwrap();
    assert_ne!(without.header().filter, before.header().filter, "a session that is no more is not found");
}

#[test]
fn nothing_to_redact_is_nothing() {
    let empty = usual().apply(send("/v1/batch", r#"{"batch":[]}"#).unwrap());
    assert!(empty.batch.is_none() && empty.rejects.count == 0);
    let none = Redaction::new(&Rules::default()).unwrap();
    assert_eq!(redacted(&none, Column::LogMessage, "password=1").as_deref(), Some("password=1"));
}

#[test]
fn settings_are_written_like_this() {
    let text = r#"
        builtin = true
        keys = ["iban"]
        patterns = [{ pattern = "\\d{3}-\\d{2}", replacement = "***" }]
        [tenants.acme]
        keys = ["email"]
        [tenants.open]
    "#;
    let redactions = Redactions::new(&toml::from_str::<Settings>(text).unwrap()).unwrap();
    let of = |name: &str| redactions.for_tenant(&TenantId::new(name).unwrap());
    let sent = r#"{"iban":1,"email":2,"cookie":3,"x":"123-45"}"#;
    assert_eq!(redacted(of("globex").unwrap(), Column::Data, sent).unwrap(), r#"{"email":2,"x":"***"}"#);
    assert_eq!(redacted(of("acme").unwrap(), Column::Data, sent).unwrap(), r#"{"iban":1,"cookie":3,"x":"123-45"}"#);
    assert!(of("open").is_none());
    assert!(toml::from_str::<Settings>("key = []").unwrap_err().to_string().contains("unknown field"));
    assert!(Redactions::new(&toml::from_str("").unwrap()).unwrap().for_tenant(&TenantId::default()).is_none());
}
