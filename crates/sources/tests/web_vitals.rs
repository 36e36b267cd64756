//! Web vitals: every rule of the mapping, and what is refused.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use support::{NOW_US, hold, reject, row, rows, send};

const PATH: &str = "/v1/vitals";

/// A metric of the library, with a page around it.
fn metric(members: &str) -> String {
    format!(
        r#"{{"sessionId":"s-1","pageUrl":"https://shop.example/cart","metrics":[{{"name":"LCP","value":1830.5,"rating":"good",
        "delta":12.25,"id":"v6-17-1","navigationType":"back-forward",{members}"entries":[]}}]}}"#
    )
}

#[test]
fn columns_of_a_metric() {
    hold(
        PATH,
        &[(
            "sources.md, Web vitals; transformWebVital",
            metric(""),
            &[
                ("event_type", Some("vital")),
                ("event_name", Some("LCP")),
                ("event_source", Some("web_vitals")),
                ("ns", Some("acme")),
                ("span_id", Some("v6-17-1")),
                ("session_id", Some("s-1")),
                ("trace_id", None),
                ("timestamp", Some("1790000000000000")),
                ("duration_ms", Some("1830.5")),
                ("http_url", Some("https://shop.example/cart")),
                ("vital_name", Some("LCP")),
                ("vital_value", Some("1830.5")),
                ("vital_rating", Some("good")),
                ("vital_delta", Some("12.25")),
                ("vital_element", None),
                ("vital_load_state", None),
                ("nav_type", Some("back-forward")),
                ("data", Some(r#"{"entries":[]}"#)),
                ("context", None),
            ],
        )],
    );
}

#[test]
fn duration_is_the_value_of_all_but_cls() {
    for name in ["LCP", "FID", "TTFB", "FCP", "INP", "CLS"] {
        let row = row(PATH, &format!(r#"{{"name":"{name}","value":0.25}}"#));
        let duration = row.get("duration_ms").map(String::as_str);
        assert_eq!((row["event_name"].as_str(), row["vital_value"].as_str()), (name, "0.25"));
        assert_eq!(duration, (name != "CLS").then_some("0.25"), "duration_ms: value …; null for CLS: {name}");
    }
}

#[test]
fn the_element_is_the_selector_of_the_attribution_or_else_the_tag_of_the_first_entry() {
    let tag = r#""entries":[{"element":{"tagName":"IMG"}},{"element":{"tagName":"P"}}],"#;
    let with = |attribution: &str| format!("{{\"name\":\"INP\",\"value\":1,{tag}\"attribution\":{attribution}}}");
    hold(
        PATH,
        &[
            ("LCP's selector", with(r#"{"target":"main>img.hero"}"#), &[("vital_element", Some("main>img.hero"))]),
            ("CLS's selector", with(r##"{"largestShiftTarget":"#ad"}"##), &[("vital_element", Some("#ad"))]),
            (
                "INP's selector, and the load state",
                with(r#"{"interactionTarget":"button","loadState":"complete"}"#),
                &[("vital_element", Some("button")), ("vital_load_state", Some("complete"))],
            ),
            ("FID's selector", with(r#"{"eventTarget":"a.buy"}"#), &[("vital_element", Some("a.buy"))]),
            ("LCP's selector, before version 4", with(r#"{"element":"h1"}"#), &[("vital_element", Some("h1"))]),
            ("without a selector", with("{}"), &[("vital_element", Some("IMG"))]),
            ("an attribution that is none", with("7"), &[("vital_element", Some("IMG")), ("vital_load_state", None)]),
            ("an empty selector is a value", with(r#"{"target":""}"#), &[("vital_element", Some(""))]),
        ],
    );
    for entries in ["[]", "[7]", "[{}]", r#"[{"element":{}}]"#, r#"[{"element":"IMG"}]"#, "{}"] {
        let row = row(PATH, &format!(r#"{{"name":"LCP","value":1,"entries":{entries}}}"#));
        assert_eq!(row.get("vital_element"), None, "{entries}");
        assert_eq!(row["data"], format!(r#"{{"entries":{entries}}}"#), "what does not fit stays");
    }
}

#[test]
fn what_a_metric_says_itself_goes_before_the_envelope() {
    let own = r#""sessionId":"s-2","pageUrl":"https://shop.example/own","traceId":"0AF7651916CD43DD8448EB211C80319C","timestamp":1789999999000.5,"#;
    hold(
        PATH,
        &[
            (
                "bare or in an envelope",
                metric(own),
                &[
                    ("session_id", Some("s-2")),
                    ("http_url", Some("https://shop.example/own")),
                    ("trace_id", Some("0af7651916cd43dd8448eb211c80319c")),
                    ("timestamp", Some("1789999999000500")),
                    ("data", Some(r#"{"entries":[]}"#)),
                ],
            ),
            (
                "a soft navigation knows its page",
                metric(r#""navigationURL":"https://shop.example/soft","#),
                &[("http_url", Some("https://shop.example/soft"))],
            ),
        ],
    );
    let envelope = r#"{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","timestamp":"2026-09-21T14:13:19Z",
        "userId":7,"anonymousId":"a-1","userAgent":"UA","writeKey":"secret","release":"v3","metrics":[{"name":"CLS","value":0}]}"#;
    hold(
        PATH,
        &[(
            "what an envelope says is that of each metric; what has no column goes to context, the key nowhere",
            envelope.into(),
            &[
                ("trace_id", Some("0af7651916cd43dd8448eb211c80319c")),
                ("parent_id", Some("b7ad6b7169203331")),
                ("timestamp", Some("1789999999000000")),
                ("actor_id", Some("7")),
                ("anonymous_id", Some("a-1")),
                ("http_user_agent", Some("UA")),
                ("context", Some(r#"{"release":"v3"}"#)),
                ("data", None),
            ],
        )],
    );
}

#[test]
fn zero_and_empty_texts_are_values() {
    hold(
        PATH,
        &[(
            "zero, false and \"\" are values",
            r#"{"name":"LCP","value":0,"delta":0,"rating":"","id":"","navigationType":"","sessionId":"","pageUrl":""}"#.into(),
            &[
                ("vital_value", Some("0")),
                ("vital_delta", Some("0")),
                ("duration_ms", Some("0")),
                ("vital_rating", Some("")),
                ("span_id", Some("")),
                ("nav_type", Some("")),
                ("session_id", Some("")),
                ("http_url", Some("")),
            ],
        )],
    );
}

#[test]
fn a_beacon_that_is_sent_twice_is_one_event_and_a_metric_that_grew_is_another() {
    let id = |value: &str, batched: bool| {
        let one = format!(r#"{{"name":"CLS","value":{value},"delta":0.1,"id":"v6-1","sessionId":"s"}}"#);
        rows(PATH, &if batched { format!("[{{\"name\":\"FCP\",\"value\":1}},{one}]") } else { one }).pop().unwrap()["id"].clone()
    };
    assert_eq!(id("0.1", false), id("0.1", true), "natural key");
    assert_ne!(id("0.1", false), id("0.2", false));
    let without = rows(PATH, r#"[{"name":"FCP","value":1},{"name":"FCP","value":1}]"#);
    assert_ne!(without[0]["id"], without[1]["id"], "without a key: the place in the request");
}

#[test]
fn metrics_that_break_a_rule_are_named() {
    reject(
        PATH,
        &[
            ("no name", r#"{"value":1}"#, "name", "is missing"),
            ("an unknown name is a reject", r#"{"name":"FPS","value":1}"#, "name", "`FPS` is none of LCP"),
            ("names are upper case", r#"{"name":"lcp","value":1}"#, "name", "none of"),
            ("name is a number", r#"{"name":5,"value":1}"#, "name", "must be a text, is 5"),
            ("no value", r#"{"name":"LCP"}"#, "value", "is missing"),
            ("value is a text", r#"{"name":"LCP","value":"1"}"#, "value", "must be a number of 64 bits, is \"1\""),
            ("value is too big", r#"{"name":"LCP","value":1e400}"#, "value", "1e400"),
            ("delta is a list", r#"{"name":"LCP","value":1,"delta":[]}"#, "delta", "must be a number"),
            ("rating is a number", r#"{"name":"LCP","value":1,"rating":3}"#, "rating", "must be a text"),
            ("id is an object", r#"{"name":"LCP","value":1,"id":{}}"#, "id", "must be a text or a number"),
            ("navigationType is true", r#"{"name":"LCP","value":1,"navigationType":true}"#, "navigationType", "must be a text"),
            ("pageUrl is a number", r#"{"name":"LCP","value":1,"pageUrl":1}"#, "pageUrl", "must be a text"),
            ("time is nonsense", r#"{"name":"LCP","value":1,"timestamp":"soon"}"#, "timestamp", "must be a time"),
            ("the list is none", r#"{"metrics":{"name":"LCP"}}"#, "metrics", "must be an array"),
            ("no metric", r#"{"metrics":[null]}"#, "record", "must be an object"),
            (
                "the envelope's session is a list",
                r#"{"sessionId":[],"metrics":[{"name":"LCP","value":1}]}"#,
                "sessionId",
                "must be",
            ),
        ],
    );
}

#[test]
fn the_good_metrics_of_a_request_are_taken_and_rejects_are_numbered_through_all_envelopes() {
    let request = r#"[{"metrics":[{"name":"LCP","value":1},{"name":"X","value":1}]},{"name":"FCP","value":1},7]"#;
    let taken = send(PATH, request).unwrap();
    assert_eq!(taken.batch.unwrap().len(), 2);
    assert_eq!(taken.rejects.first.iter().map(|reject| reject.index).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn huge_numbers_stay_and_a_time_too_far_ahead_is_that_of_arrival() {
    let row = row(PATH, r#"{"name":"LCP","value":18446744073709551616,"timestamp":4000000000000,"big":18446744073709551616}"#);
    assert_eq!(row["vital_value"], "18446744073709552000");
    assert_eq!(row["timestamp"], NOW_US.to_string());
    assert_eq!(row["data"], r#"{"big":18446744073709551616,"original_timestamp":4000000000000000000}"#);
}
