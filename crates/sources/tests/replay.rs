//! Session replay: every rule of the mapping, and what is refused.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use support::{hold, reject, row, rows, send};
use watershed_sources::replay::REQUEST_BYTES_MAX;

const PATH: &str = "/v1/replay";

fn event(kind: &str, rest: &str) -> String {
    format!(r#"[{{"type":{kind},"timestamp":1790000000250,"sessionId":"s-1"{rest}}}]"#)
}

#[test]
fn columns_of_an_event() {
    let click = r#"{"type":3,"data":{"source":2,"type":2,"id":7,"x":1.50,"y":-0},"timestamp":1790000000250,"delay":0}"#;
    let request = format!(
        r#"{{"sessionId":"s-1","pageUrl":"https://shop.example/","sequence":41,"sessionStart":1790000000000,"release":"v3","events":[{click}]}}"#
    );
    hold(
        PATH,
        &[(
            "sources.md, Session replay; transformSessionReplay",
            request,
            &[
                ("event_type", Some("replay")),
                ("event_name", Some("IncrementalSnapshot.MouseInteraction")),
                ("event_source", Some("replay")),
                ("ns", Some("acme")),
                ("trace_id", None),
                ("session_id", Some("s-1")),
                ("timestamp", Some("1790000000250000")),
                ("http_url", Some("https://shop.example/")),
                ("replay_type", Some("IncrementalSnapshot")),
                ("replay_source", Some("MouseInteraction")),
                ("replay_sequence", Some("41")),
                ("replay_timestamp_offset", Some("250")),
                ("replay_data", Some(click)),
                ("context", Some(r#"{"release":"v3"}"#)),
                ("data", None),
            ],
        )],
    );
}

#[test]
fn types_have_names_and_unknown_numbers_say_so() {
    let names = ["DomContentLoaded", "Load", "FullSnapshot", "IncrementalSnapshot", "Meta", "Custom", "Plugin"];
    for (number, name) in names.iter().enumerate() {
        let row = row(PATH, &event(&number.to_string(), ""));
        assert_eq!((row["replay_type"].as_str(), row["event_name"].as_str()), (*name, *name));
        assert_eq!(row.get("replay_source"), None);
    }
    for number in ["7", "99", "-1", "9223372036854775807"] {
        let row = row(PATH, &event(number, ""));
        assert_eq!(row["replay_type"], format!("Unknown({number})"));
        assert_eq!(row["event_name"], row["replay_type"]);
    }
}

#[test]
fn sources_have_names_and_unknown_numbers_say_so() {
    let names = [
        "Mutation",
        "MouseMove",
        "MouseInteraction",
        "Scroll",
        "ViewportResize",
        "Input",
        "TouchMove",
        "MediaInteraction",
        "StyleSheetRule",
        "CanvasMutation",
        "Font",
        "Log",
        "Drag",
        "StyleDeclaration",
        "Selection",
        "AdoptedStyleSheet",
        "CustomElement",
    ];
    for (number, name) in names.iter().enumerate() {
        let row = row(PATH, &event("3", &format!(r#","data":{{"source":{number}}}"#)));
        assert_eq!(row["event_name"], format!("IncrementalSnapshot.{name}"), "data.source");
    }
    let source = |rest: &str| row(PATH, &event("3", rest)).remove("replay_source");
    assert_eq!(source(r#","source":3"#).unwrap(), "Scroll", "a source at the top, as upstream reads it");
    assert_eq!(source(r#","source":3,"data":{"source":5}"#).unwrap(), "Input", "data.source first");
    assert_eq!(source(r#","data":{"source":17}"#).unwrap(), "Unknown(17)");
    assert_eq!(source(r#","data":{"source":-1}"#).unwrap(), "Unknown(-1)");
    assert_eq!(source(""), None);
    assert_eq!(row(PATH, &event("3", ""))["event_name"], "IncrementalSnapshot");
    assert_eq!(row(PATH, &event("5", r#","data":{"source":5}"#)).get("replay_source"), None, "only for type 3");
}

#[test]
fn the_whole_event_is_kept_byte_for_byte() {
    let odd = "{ \"type\" : 2,\t\"data\":{\"node\":{\"text\":\"\\u00e9 \\/ \u{1f30a}\",\"n\":1.10e1,\"z\":-0.0}},\n\"timestamp\":1790000000000, \"sessionId\":\"s\"}";
    for request in [odd.to_owned(), format!("[ {odd} ]"), format!(r#"{{"events":[{odd}]}}"#)] {
        assert_eq!(row(PATH, &request)["replay_data"], odd);
    }
}

#[test]
fn sequences_are_given_or_counted_for_each_session() {
    let sequences = |request: &str| {
        let rows = rows(PATH, request);
        rows.iter().map(|row| format!("{}{}", row["session_id"], row["replay_sequence"])).collect::<Vec<_>>()
    };
    let event = |rest: &str| format!(r#"{{"type":1,"timestamp":1{rest}}}"#);
    let (a, b) = (event(r#","sessionId":"a""#), event(r#","sessionId":"b""#));
    assert_eq!(sequences(&format!("[{a},{b},{a},{a},{b}]")), ["a0", "b0", "a1", "a2", "b1"]);
    let one = event("");
    assert_eq!(sequences(&format!(r#"{{"sessionId":"a","events":[{one},{one}]}}"#)), ["a0", "a1"]);
    assert_eq!(sequences(&format!(r#"{{"sessionId":"a","sequence":7,"events":[{one},{one}]}}"#)), ["a7", "a8"]);
    let own = event(r#","sequence":0"#);
    assert_eq!(sequences(&format!(r#"{{"sessionId":"a","sequence":7,"events":[{own},{one}]}}"#)), ["a0", "a8"]);
    let huge = format!(r#"{{"sessionId":"a","sequence":{},"events":[{one},{one}]}}"#, i64::MAX);
    assert_eq!(sequences(&huge), vec![format!("a{}", i64::MAX); 2]);
}

#[test]
fn a_beacon_that_is_sent_twice_adds_nothing_and_no_two_events_are_taken_for_one() {
    let request = |sequence: &str, events: &str| format!(r#"{{"sessionId":"s"{sequence},"events":[{events}]}}"#);
    let ids = |request: &str| rows(PATH, request).iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
    let (one, two) = (r#"{"type":1,"timestamp":1}"#, r#"{"type":0,"timestamp":1}"#);
    let (first, again) = (ids(&request(r#","sequence":3"#, one)), ids(&request(r#","sequence":2"#, &format!("{two},{one}"))));
    assert_eq!(first[0], again[1], "the same event in another request");
    let twins = ids(&request("", &format!("{one},{one}")));
    assert_ne!(twins[0], twins[1], "equal events of one request");
    assert_ne!(ids(&request("", one)), ids(&request("", two)), "events of one moment in two requests that do not count");
    assert_ne!(ids(&request("", one)), ids(&request("", one).replace("\"s\"", "\"t\"")), "sessions");
}

#[test]
fn offsets_count_from_the_sessions_first_event_when_it_is_sent() {
    let offset = |start: &str| row(PATH, &event("1", start)).remove("replay_timestamp_offset");
    assert_eq!(offset(""), None);
    assert_eq!(offset(r#","sessionStart":1790000000250"#).unwrap(), "0", "zero is a value");
    assert_eq!(offset(r#","sessionStart":"2026-09-21T14:13:20.125Z""#).unwrap(), "125");
    assert_eq!(offset(r#","sessionStart":0"#).unwrap(), "1790000000250");
    let untimed = row(PATH, r#"{"type":1,"sessionId":"s","sessionStart":5}"#);
    assert_eq!(untimed.get("replay_timestamp_offset"), None, "a time of arrival is no offset");
    assert_eq!(untimed["timestamp"], "1790000000000000");
}

#[test]
fn the_page_is_that_of_the_request_or_else_that_of_a_meta_event() {
    let meta = r#","data":{"href":"https://shop.example/meta"}"#;
    assert_eq!(row(PATH, &event("4", meta))["http_url"], "https://shop.example/meta");
    assert_eq!(row(PATH, &event("4", &format!(r#"{meta},"pageUrl":"https://p""#)))["http_url"], "https://p");
    assert_eq!(row(PATH, &event("5", meta)).get("http_url"), None);
}

#[test]
fn a_trace_is_written_only_if_it_is_sent() {
    let sent = event("1", r#","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01""#);
    assert_eq!(row(PATH, &sent)["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(row(PATH, &event("1", "")).get("trace_id"), None);
}

#[test]
fn events_that_break_a_rule_are_named() {
    reject(
        PATH,
        &[
            ("session_id required", r#"{"type":1,"timestamp":1}"#, "sessionId", "is missing"),
            ("an empty session is none", r#"{"type":1,"timestamp":1,"sessionId":""}"#, "sessionId", "is missing"),
            ("session is a list", r#"{"type":1,"sessionId":[1]}"#, "sessionId", "must be a text or a number"),
            ("no type", r#"{"sessionId":"s","timestamp":1}"#, "type", "is missing"),
            ("type is a text", r#"{"sessionId":"s","type":"3"}"#, "type", "must be a whole number of 64 bits"),
            ("type is no whole number", r#"{"sessionId":"s","type":3.5}"#, "type", "is 3.5"),
            ("type is too big", r#"{"sessionId":"s","type":18446744073709551616}"#, "type", "is 18446744073709551616"),
            ("type is endless", r#"{"sessionId":"s","type":1e400}"#, "type", "is 1e400"),
            ("source is a text", r#"{"sessionId":"s","type":3,"data":{"source":"x"}}"#, "source", "must be a whole number"),
            ("source at the top is a text", r#"{"sessionId":"s","type":3,"source":"x"}"#, "source", "must be a whole number"),
            ("time is nonsense", r#"{"sessionId":"s","type":1,"timestamp":{}}"#, "timestamp", "must be a time"),
            ("sequence is a text", r#"{"sessionId":"s","type":1,"sequence":"1"}"#, "sequence", "must be a whole number"),
            ("start is nonsense", r#"{"sessionId":"s","type":1,"sessionStart":true}"#, "sessionStart", "must be a time"),
            ("the list is none", r#"{"sessionId":"s","events":7}"#, "events", "must be an array"),
            ("a packed event", r#"{"sessionId":"s","events":["eJyr"]}"#, "record", "must be an object"),
        ],
    );
}

#[test]
fn a_reject_is_not_counted() {
    let request = r#"{"sessionId":"s","events":[{"type":1},{"type":"x"},{"type":2}]}"#;
    let taken = send(PATH, request).unwrap();
    assert_eq!(taken.rejects.count, 1);
    let sequences: Vec<_> = taken.batch.unwrap().rows().map(|row| support::texts(&row)["replay_sequence"].clone()).collect();
    assert_eq!(sequences, ["0", "1"]);
}

#[test]
fn a_recording_of_five_megabytes_is_taken_and_a_deep_page_too() {
    let text = "x".repeat(5_000_000);
    let big = event("2", &format!(r#","data":{{"node":{{"textContent":"{text}"}}}}"#));
    assert!(row(PATH, &big)["replay_data"].contains(&text));
    let deep = format!("{}{}", r#"{"childNodes":["#.repeat(400), "]}".repeat(400));
    assert!(row(PATH, &event("2", &format!(r#","data":{deep}"#)))["replay_data"].contains(&deep));
    assert!(send(PATH, &" ".repeat(REQUEST_BYTES_MAX + 1)).is_err());
}
