//! Domain events, actions and native events: every rule of the mapping, and what is refused.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use support::{hold, reject, row, rows};

const EVENTS: &str = "/v1/events";
const ACTIONS: &str = "/v1/actions";
const NATIVE: &str = "/v1/native";

fn event(more: &str) -> String {
    format!(r#"{{"verb":"order.placed"{more}}}"#)
}

#[test]
fn every_rule_of_domain_events() {
    let rules = [
        ("event_type: const track", "", "event_type", Some("track")),
        ("event_name: verb", "", "event_name", Some("order.placed")),
        ("action_verb: verb", "", "action_verb", Some("order.placed")),
        ("event_source: const do_event", "", "event_source", Some("do_event")),
        ("ns: the tenant", r#","ns":"other""#, "ns", Some("acme")),
        ("trace_id: actionId", r#","actionId":"a-1","traceId":"t""#, "trace_id", Some("a-1")),
        ("trace_id: traceId without actionId", r#","traceId":"T1""#, "trace_id", Some("t1")),
        ("span_id: id", r#","id":"e-1""#, "span_id", Some("e-1")),
        ("session_id: sessionId", r#","sessionId":"s""#, "session_id", Some("s")),
        ("actor_id: actor", r#","actor":"u""#, "actor_id", Some("u")),
        ("actor_type: actorType", r#","actorType":"user""#, "actor_type", Some("user")),
        ("resource_type: sourceType", r#","sourceType":"order""#, "resource_type", Some("order")),
        ("resource_id: ns/source", r#","source":"orders/1""#, "resource_id", Some("acme/orders/1")),
        ("resource_id: qualified once", r#","source":"acme/orders/1""#, "resource_id", Some("acme/orders/1")),
        ("resource_id: null for an empty source", r#","source":"""#, "resource_id", None),
        ("timestamp: timestamp before createdAt", r#","timestamp":5,"createdAt":7"#, "timestamp", Some("5000")),
        ("timestamp: else createdAt", r#","createdAt":"1970-01-01T00:00:00.007Z""#, "timestamp", Some("7000")),
        ("timestamp: else arrival", "", "timestamp", Some("1790000000000000")),
        ("data: data", r#","data":{"n":1.10}"#, "data", Some(r#"{"n":1.10}"#)),
        ("biz_step: bizStep", r#","bizStep":"shipping""#, "biz_step", Some("shipping")),
        ("biz_disposition: disposition", r#","disposition":"in_transit""#, "biz_disposition", Some("in_transit")),
        ("biz_transaction: bizTransaction", r#","bizTransaction":0"#, "biz_transaction", Some("0")),
        ("biz_location: bizLocation", r#","bizLocation":"urn:l""#, "biz_location", Some("urn:l")),
        ("biz_read_point: readPoint", r#","readPoint":"urn:r""#, "biz_read_point", Some("urn:r")),
        ("what has no column: context", r#","extra":[1],"actor":"u""#, "context", Some(r#"{"extra":[1]}"#)),
        ("zero values: empty texts are kept", r#","actor":"","bizStep":"""#, "biz_step", Some("")),
    ];
    for (rule, more, column, text) in rules {
        hold(EVENTS, &[(rule, event(more), &[(column, text)])]);
    }
}

#[test]
fn an_id_of_its_own_makes_an_event_recognised_whatever_else_changed() {
    let id = |body: &str| row(EVENTS, body).remove("id").unwrap();
    assert_eq!(id(&event(r#","id":"e-1""#)), id(&event(r#","id":"e-1","data":1"#)));
    assert_ne!(id(&event(r#","id":"e-1""#)), id(&event(r#","id":"e-2""#)));
    let two = rows(EVENTS, &format!("[{0},{0}]", event("")));
    assert_ne!(two[0]["id"], two[1]["id"], "without an id the place tells them apart");
}

#[test]
fn domain_events_that_break_a_rule() {
    reject(
        EVENTS,
        &[
            ("neither kind", r#"{"id":"1"}"#, "verb", "is missing, and so is `event_type`"),
            ("both kinds", r#"{"verb":"v","event_type":"track"}"#, "verb", "beside `event_type`"),
            ("verb is a number", r#"{"verb":1}"#, "verb", "must be a text"),
            ("actor is an object", r#"{"verb":"v","actor":{}}"#, "actor", "must be a text or a number"),
            ("time is nonsense", r#"{"verb":"v","timestamp":"soon"}"#, "timestamp", "must be a time"),
            ("time is huge", r#"{"verb":"v","timestamp":1e300}"#, "timestamp", "outside the years 1 to 9999"),
        ],
    );
}

fn action(more: &str) -> String {
    format!(r#"{{"id":"a-1","verb":"reserve","status":"completed"{more}}}"#)
}

#[test]
fn every_rule_of_actions() {
    let rules = [
        ("id: action id", "", "id", Some("a-1")),
        ("span_id: action id", "", "span_id", Some("a-1")),
        ("event_type: const trace", "", "event_type", Some("trace")),
        ("event_name: action.verb", "", "event_name", Some("action.reserve")),
        ("event_source: const do_action", "", "event_source", Some("do_action")),
        ("schema_version: const 1", "", "schema_version", Some("1")),
        ("session_id: sessionId", r#","sessionId":"s""#, "session_id", Some("s")),
        ("workflow_id: workflowId", r#","workflowId":"w""#, "workflow_id", Some("w")),
        ("correlation_id: requestId", r#","requestId":"r""#, "correlation_id", Some("r")),
        ("actor_id: actor", r#","actor":"u""#, "actor_id", Some("u")),
        ("resource_type: target up to the slash", r#","target":"stock/item-7""#, "resource_type", Some("stock")),
        ("resource_type: whole target without slash", r#","target":"stock""#, "resource_type", Some("stock")),
        ("resource_id: ns/target", r#","target":"stock/item-7""#, "resource_id", Some("acme/stock/item-7")),
        ("action_target: target", r#","target":"stock/item-7""#, "action_target", Some("stock/item-7")),
        ("started_at: startedAt", r#","startedAt":5"#, "started_at", Some("5000")),
        ("timestamp: startedAt", r#","startedAt":5,"completedAt":9"#, "timestamp", Some("5000")),
        ("ended_at: completedAt", r#","completedAt":9"#, "ended_at", Some("9000")),
        (
            "duration_ms: difference before durationMs",
            r#","startedAt":5,"completedAt":9,"durationMs":1"#,
            "duration_ms",
            Some("4"),
        ),
        ("duration_ms: durationMs", r#","completedAt":9,"durationMs":0"#, "duration_ms", Some("0")),
        ("duration_ms: else null", r#","completedAt":9"#, "duration_ms", None),
        ("duration_ms: never negative", r#","startedAt":9,"completedAt":5"#, "duration_ms", Some("0")),
        ("outcome: completed is success", "", "outcome", Some("success")),
        ("outcome: failed is error", r#","status":"failed""#, "outcome", Some("error")),
        ("error_message: a text as it is", r#","error":"no stock""#, "error_message", Some("no stock")),
        ("error_message: an object as JSON", r#","error":{"code":7}"#, "error_message", Some(r#"{"code":7}"#)),
        ("action_verb: verb", "", "action_verb", Some("reserve")),
        ("action_durability: durability", r#","durability":"try""#, "action_durability", Some("try")),
        ("action_input_version: inputVersion", r#","inputVersion":0"#, "action_input_version", Some("0")),
        (
            "what has no column: data",
            r#","outputVersion":3,"input":{"n":1}"#,
            "data",
            Some(r#"{"outputVersion":3,"input":{"n":1}}"#),
        ),
        (
            "trace_id: traceparent",
            r#","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01""#,
            "parent_id",
            Some("b7ad6b7169203331"),
        ),
    ];
    for (rule, more, column, text) in rules {
        hold(ACTIONS, &[(rule, action(more), &[(column, text)])]);
    }
}

#[test]
fn actions_that_break_a_rule() {
    reject(
        ACTIONS,
        &[
            ("pending is no end", r#"{"id":"1","verb":"v","status":"pending"}"#, "status", "`pending` is not an end"),
            ("in_progress is no end", r#"{"id":"1","verb":"v","status":"in_progress"}"#, "status", "is not an end"),
            ("unknown status", r#"{"id":"1","verb":"v","status":"lost"}"#, "status", "neither completed nor failed"),
            ("no status", r#"{"id":"1","verb":"v"}"#, "status", "is missing"),
            ("no id", r#"{"verb":"v","status":"failed"}"#, "id", "is missing"),
            ("no verb", r#"{"id":"1","status":"failed"}"#, "verb", "is missing"),
            (
                "unknown durability",
                r#"{"id":"1","verb":"v","status":"failed","durability":"maybe"}"#,
                "durability",
                "none of send",
            ),
            (
                "version is huge",
                r#"{"id":"1","verb":"v","status":"failed","inputVersion":18446744073709551616}"#,
                "inputVersion",
                "64 bits",
            ),
        ],
    );
}

#[test]
fn native_events_fill_columns_by_name() {
    let sent = r#"{"event_type":"log","event_name":"n","id":"x","timestamp":5,"started_at":"1970-01-01T00:00:00.005Z","duration_ms":0,
        "log_level_num":0,"bot_verified":false,"http_status":200.0,"db_after":{"n":1.10},"data":{"d":1},"properties":{"p":1},
        "replay_data":{"type":4},"colour":"red","attributes":{"a":1},"ns":"other","event_source":"mine","hour":7,"_seq":9}"#;
    hold(
        NATIVE,
        &[(
            "kinds of columns",
            sent.into(),
            &[
                ("id", Some("x")),
                ("event_type", Some("log")),
                ("timestamp", Some("5000")),
                ("started_at", Some("5000")),
                ("duration_ms", Some("0")),
                ("log_level_num", Some("0")),
                ("bot_verified", Some("false")),
                ("http_status", Some("200")),
                ("db_after", Some(r#"{"n":1.10}"#)),
                ("data", Some(r#"{"d":1}"#)),
                ("properties", Some(r#"{"p":1}"#)),
                ("replay_data", Some(r#"{"type":4}"#)),
                ("attributes", Some(r#"{"a":1,"colour":"red"}"#)),
                ("ns", Some("acme")),
                ("event_source", Some("native")),
                ("hour", Some("0")),
                ("_seq", None),
            ],
        )],
    );
}

#[test]
fn native_events_may_stand_among_domain_events() {
    let both = rows(EVENTS, r#"[{"verb":"v"},{"event_type":"page","event_name":"n"},{"verb":"w"}]"#);
    let sources: Vec<_> = both.iter().map(|row| (row["event_source"].as_str(), row["event_type"].as_str())).collect();
    assert_eq!(sources, [("do_event", "track"), ("native", "page"), ("do_event", "track")]);
}

#[test]
fn native_events_of_wrong_types_are_named() {
    reject(
        NATIVE,
        &[
            ("no type", r#"{"event_name":"n"}"#, "event_type", "is missing"),
            ("unknown type", r#"{"event_type":"x","event_name":"n"}"#, "event_type", "`x` is no event type"),
            ("no name", r#"{"event_type":"log"}"#, "event_name", "is missing"),
            ("text column", r#"{"event_type":"log","event_name":"n","log_message":5}"#, "log_message", "must be a text"),
            ("integer column", r#"{"event_type":"log","event_name":"n","http_status":2.5}"#, "http_status", "whole number"),
            ("float column", r#"{"event_type":"log","event_name":"n","duration_ms":"5"}"#, "duration_ms", "must be a number"),
            ("float too big", r#"{"event_type":"log","event_name":"n","duration_ms":1e400}"#, "duration_ms", "must be a number"),
            ("boolean column", r#"{"event_type":"log","event_name":"n","bot_verified":1}"#, "bot_verified", "true or false"),
            ("time column", r#"{"event_type":"log","event_name":"n","ended_at":"x"}"#, "ended_at", "must be a time"),
            ("attributes", r#"{"event_type":"log","event_name":"n","attributes":[]}"#, "attributes", "must be an object"),
            ("too far ahead", r#"{"event_type":"log","event_name":"n","timestamp":"2036-01-01"}"#, "timestamp", "24 h ahead"),
        ],
    );
}
