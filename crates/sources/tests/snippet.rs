//! Resource timing and its script: every rule of the mapping, and what is refused.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use support::{NOW_US, Texts, hold, reject, row, rows};
use watershed_sources::snippet::SCRIPT;

const PATH: &str = "/v1/snippet";

/// As Chromium gives it for a script of the page's own origin.
fn entry(members: &str) -> String {
    format!(
        r#"{{"sessionId":"s-1","pageUrl":"https://shop.example/cart","timeOrigin":1789999999000.5,"entries":[
        {{"name":"https://cdn.example:8443/a/app.js?v=3#x","entryType":"resource","startTime":20.5,"duration":100,
        "initiatorType":"script","deliveryType":"","nextHopProtocol":"h2","workerStart":0,"redirectStart":0,"redirectEnd":0,
        "fetchStart":20.5,"domainLookupStart":22,"domainLookupEnd":30.25,"connectStart":30.25,"secureConnectionStart":35,
        "connectEnd":50,"requestStart":51,"responseStart":90,"responseEnd":120.5,"transferSize":12300,"encodedBodySize":12000,
        "decodedBodySize":50000,"responseStatus":200,"contentType":"text/javascript","serverTiming":[]{members}}}]}}"#
    )
}

#[test]
fn columns_of_an_entry() {
    hold(
        PATH,
        &[(
            "sources.md, Browser snippet; transformSnippet",
            entry(r#","requestId":"r-1""#),
            &[
                ("event_type", Some("snippet")),
                ("event_name", Some("script.request")),
                ("event_source", Some("snippet")),
                ("ns", Some("acme")),
                ("trace_id", Some("s-1")),
                ("session_id", Some("s-1")),
                ("correlation_id", Some("r-1")),
                ("timestamp", Some("1789999999021000")),
                ("duration_ms", Some("100")),
                ("http_url", Some("https://cdn.example:8443/a/app.js?v=3#x")),
                ("http_host", Some("cdn.example:8443")),
                ("http_path", Some("/a/app.js")),
                ("http_query", Some("?v=3")),
                ("http_referrer", Some("https://shop.example/cart")),
                ("http_status", Some("200")),
                ("http_protocol", Some("h2")),
                ("http_content_type", Some("text/javascript")),
                ("snippet_initiator", Some("script")),
                ("snippet_request_id", Some("r-1")),
                ("snippet_start_time", Some("20.5")),
                ("snippet_dns_time", Some("8.25")),
                ("snippet_connect_time", Some("19.75")),
                ("snippet_ttfb", Some("39")),
                ("snippet_download_time", Some("30.5")),
                ("snippet_blocked_time", Some("1.5")),
                ("snippet_resource_type", Some("script")),
                ("snippet_transfer_size", Some("12300")),
                ("snippet_decoded_size", Some("50000")),
                ("snippet_cache_state", Some("network")),
            ],
        )],
    );
}

#[test]
fn what_has_no_column_and_the_times_themselves_stay_in_data() {
    let data = row(PATH, &entry(""))["data"].clone();
    assert!(data.ends_with(r#""page_url":"https://shop.example/cart"}"#), "data: page_url: {data}");
    for kept in
        [r#""entryType":"resource""#, r#""secureConnectionStart":35"#, r#""responseStart":90"#, r#""encodedBodySize":12000"#]
    {
        assert!(data.contains(kept), "{kept}: {data}");
    }
    assert!(!data.contains("transferSize") && !data.contains("sessionId"), "{data}");
}

const PARTS: [&str; 5] =
    ["snippet_dns_time", "snippet_connect_time", "snippet_ttfb", "snippet_download_time", "snippet_blocked_time"];

fn parts(entry: &str) -> [Option<String>; 5] {
    let mut row: Texts = row(PATH, &format!(r#"{{"name":"https://x/","initiatorType":"img",{entry}}}"#));
    PARTS.map(|part| row.remove(part))
}

fn some(texts: [&str; 5]) -> [Option<String>; 5] {
    texts.map(|text| (text != "null").then(|| text.to_owned()))
}

#[test]
fn times_that_the_browser_hides_are_null() {
    let hidden = r#""startTime":20,"duration":9,"fetchStart":20,"domainLookupStart":0,"domainLookupEnd":0,"connectStart":0,
        "connectEnd":0,"requestStart":0,"responseStart":0,"responseEnd":29"#;
    assert_eq!(parts(hidden), some(["null"; 5]), "cross-origin zeros");
    assert_eq!(parts(&hidden.replace("\"startTime\":20", "\"startTime\":0")), some(["null"; 5]), "of the first moment, too");
    assert_eq!(parts(r#""duration":9"#), some(["null"; 5]), "an entry without times");
    let failed = r#""startTime":20,"domainLookupStart":21,"domainLookupEnd":22,"connectStart":22,"connectEnd":22,"requestStart":0,
        "responseStart":0,"responseEnd":30"#;
    assert_eq!(parts(failed), some(["1", "0", "null", "null", "1"]), "without a response");
}

#[test]
fn times_are_never_negative_and_zero_is_a_value() {
    let reused = r#""startTime":20,"domainLookupStart":20,"domainLookupEnd":20,"connectStart":20,"connectEnd":20,"requestStart":20,
        "responseStart":20,"responseEnd":20,"duration":0"#;
    assert_eq!(parts(reused), some(["0"; 5]), "a connection that was open");
    let skewed = r#""startTime":20.1,"domainLookupStart":20,"domainLookupEnd":19,"connectStart":30,"connectEnd":29,"requestStart":41,
        "responseStart":40,"responseEnd":39,"duration":-1"#;
    assert_eq!(parts(skewed), some(["0"; 5]), "rounded clocks");
    let sent = format!(r#"{{"name":"https://x/","initiatorType":"img",{skewed}}}"#);
    assert_eq!(row(PATH, &sent)["duration_ms"], "0");
    let first = r#""startTime":0,"domainLookupStart":0,"domainLookupEnd":10,"connectStart":10,"connectEnd":30,"requestStart":30,
        "responseStart":100,"responseEnd":150"#;
    assert_eq!(parts(first), some(["10", "20", "70", "50", "0"]), "a request that begins with the page");
}

#[test]
fn where_the_body_came_from() {
    let state = |members: &str| {
        row(PATH, &format!(r#"{{"name":"https://x/","initiatorType":"img"{members}}}"#)).remove("snippet_cache_state").unwrap()
    };
    assert_eq!(state(r#","transferSize":0,"decodedBodySize":5"#), "local");
    assert_eq!(state(r#","transferSize":0,"decodedBodySize":0"#), "network", "hidden sizes");
    assert_eq!(state(r#","transferSize":300,"decodedBodySize":5,"responseStatus":304"#), "validated");
    assert_eq!(state(r#","transferSize":300,"decodedBodySize":5,"responseStatus":200"#), "network");
    assert_eq!(state(""), "network");
}

#[test]
fn urls_are_taken_apart_as_a_browser_does() {
    let of = |name: &str| {
        let mut row = row(PATH, &format!(r#"{{"name":"{name}","initiatorType":"img"}}"#));
        assert_eq!(row["http_url"], name);
        ["http_host", "http_path", "http_query"].map(|column| row.remove(column))
    };
    let expect = |host: &str, path: &str, query: &str| [host, path, query].map(|text| (text != "null").then(|| text.to_owned()));
    assert_eq!(of("https://x.example"), expect("x.example", "/", "null"));
    assert_eq!(of("https://x.example:443/a?"), expect("x.example", "/a", "null"), "empty->null; the scheme's own port is none");
    assert_eq!(of("http://[::1]:8080/a%20b?c=d&e"), expect("[::1]:8080", "/a%20b", "?c=d&e"));
    assert_eq!(of("blob:https://x.example/1-2"), expect("null", "https://x.example/1-2", "null"));
    assert_eq!(of("data:image/png;base64,AA=="), expect("null", "image/png;base64,AA==", "null"));
}

#[test]
fn a_page_in_a_trace_says_so() {
    let traced = entry(r#","traceparent":"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01""#);
    hold(PATH, &[("trace id from the page", traced, &[("trace_id", Some("0af7651916cd43dd8448eb211c80319c"))])]);
    assert_eq!(row(PATH, r#"{"name":"https://x/","initiatorType":"img"}"#).get("trace_id"), None);
}

#[test]
fn the_time_is_the_entrys_own_or_that_of_the_pages_clock_or_that_of_arrival() {
    let time = |envelope: &str, members: &str| {
        let request = format!(r#"{{{envelope}"entries":[{{"name":"https://x/","initiatorType":"img"{members}}}]}}"#);
        row(PATH, &request)["timestamp"].clone()
    };
    let origin = r#""timeOrigin":1789999990000,"timestamp":1789999995000,"#;
    assert_eq!(time(origin, r#","startTime":1.5,"timestamp":1789999999000"#), "1789999999000000");
    assert_eq!(time(origin, r#","startTime":1.5"#), "1789999990001500");
    assert_eq!(time(origin, r#","startTime":0"#), "1789999990000000", "zero is a value");
    assert_eq!(time(origin, ""), "1789999995000000", "without a start");
    assert_eq!(time("", r#","startTime":1.5"#), NOW_US.to_string());
    assert_eq!(time(origin, r#","startTime":1e300"#), "1789999995000000", "a start beyond the calendar is none");
}

#[test]
fn a_request_that_is_sent_twice_has_the_same_ids_and_twins_in_it_do_not() {
    let one = r#"{"name":"https://x/","initiatorType":"img"}"#;
    let twins = rows(PATH, &format!("[{one},{one}]"));
    assert_ne!(twins[0]["id"], twins[1]["id"]);
    assert_eq!(twins, rows(PATH, &format!("[{one},{one}]")));
}

#[test]
fn zero_and_empty_texts_are_values() {
    let sent = r#"{"name":"https://x/","initiatorType":"","startTime":0,"duration":0,"transferSize":0,"decodedBodySize":0,
        "requestId":0,"responseStatus":0,"nextHopProtocol":"","sessionId":"","pageUrl":""}"#;
    hold(
        PATH,
        &[(
            "zero and \"\" are values; a status 0 and no protocol are what a browser hides",
            sent.into(),
            &[
                ("event_name", Some(".request")),
                ("snippet_initiator", Some("")),
                ("snippet_start_time", Some("0")),
                ("duration_ms", Some("0")),
                ("snippet_transfer_size", Some("0")),
                ("snippet_decoded_size", Some("0")),
                ("snippet_request_id", Some("0")),
                ("session_id", Some("")),
                ("http_referrer", Some("")),
                ("http_status", None),
                ("http_protocol", None),
                ("data", Some(r#"{"responseStatus":0,"nextHopProtocol":"","page_url":""}"#)),
            ],
        )],
    );
}

#[test]
fn entries_that_break_a_rule_are_named() {
    let with = |members: &str| format!(r#"{{"name":"https://x/","initiatorType":"img",{members}}}"#);
    reject(
        PATH,
        &[
            ("no name", r#"{"initiatorType":"img"}"#, "name", "is missing"),
            ("a bad URL", r#"{"name":"/relative","initiatorType":"img"}"#, "name", "is no URL: relative URL without a base"),
            ("a bad port", r#"{"name":"https://x:99999/","initiatorType":"img"}"#, "name", "is no URL: invalid port"),
            ("a bad host", r#"{"name":"https://[::1/","initiatorType":"img"}"#, "name", "is no URL"),
            ("no URL at all", r#"{"name":"","initiatorType":"img"}"#, "name", "is no URL"),
            ("name is a number", r#"{"name":7,"initiatorType":"img"}"#, "name", "must be a text"),
            ("no initiator", r#"{"name":"https://x/"}"#, "initiatorType", "is missing"),
            ("start is a text", &with(r#""startTime":"1""#), "startTime", "must be a number"),
            ("duration is endless", &with(r#""duration":1e400"#), "duration", "is 1e400"),
            ("a time is a list", &with(r#""startTime":0,"connectEnd":[]"#), "connectEnd", "must be a number"),
            ("a size is too big", &with(r#""transferSize":18446744073709551616"#), "transferSize", "must be a whole number"),
            ("a size is a part", &with(r#""decodedBodySize":0.5"#), "decodedBodySize", "must be a whole number"),
            ("status is a text", &with(r#""responseStatus":"200""#), "responseStatus", "must be a whole number"),
            ("request id is a list", &with(r#""requestId":[]"#), "requestId", "must be a text or a number"),
            ("origin is nonsense", &with(r#""timeOrigin":"x""#), "timeOrigin", "must be a time"),
            ("the list is none", r#"{"entries":"x"}"#, "entries", "must be an array"),
        ],
    );
}

#[test]
fn the_script_is_small_and_whole() {
    assert!(SCRIPT.len() < 6_144, "{} bytes", SCRIPT.len());
    assert!(SCRIPT.starts_with("((w,d)=>{") && SCRIPT.trim_end().ends_with("})(window,document)"), "{SCRIPT}");
    assert!(!SCRIPT.contains("//") && !SCRIPT.contains("  ") && !SCRIPT.contains("\n\n"));
    for path in ["/v1/", "batch", "snippet", "vitals", "replay", "traceparent", "needs-improvement"] {
        assert!(SCRIPT.contains(path), "{path}");
    }
    assert!(SCRIPT.contains("else delete localStorage"), "words stay apart");
}

#[test]
fn times_that_no_clock_shows_and_an_empty_session_are_none() {
    let entry = r#"{"name":"https://x/","initiatorType":"img","startTime":-1e308,"sessionId":"","domainLookupStart":1e308,
        "domainLookupEnd":1e308,"connectStart":-1e308,"connectEnd":1e308}"#;
    let expected = [
        ("snippet_blocked_time", None),
        ("snippet_connect_time", None),
        ("snippet_dns_time", Some("0")),
        ("trace_id", None),
        ("session_id", Some("")),
    ];
    hold(PATH, &[("infinite differences, no session", entry.into(), &expected)]);
}
