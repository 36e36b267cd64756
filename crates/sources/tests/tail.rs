//! Workers Tail: every rule of the mapping, every kind of event, and what is refused.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use support::{hold, reject, row, rows};

const PATH: &str = "/v1/tail";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn item(event: &str, more: &str) -> String {
    format!(r#"{{"scriptName":"edge","outcome":"ok","eventTimestamp":1790000000000,"event":{event}{more}}}"#)
}

fn fetch(more: &str) -> String {
    item(&format!(r#"{{"request":{{{more}}},"response":{{"status":404}}}}"#), "")
}

#[test]
fn every_rule_of_an_item() {
    let rules = [
        ("event_type: const tail", "", "event_type", Some("tail")),
        ("event_source: const workers_tail", "", "event_source", Some("workers_tail")),
        ("ns: the tenant, not the script", "", "ns", Some("acme")),
        ("service_name: scriptName", "", "service_name", Some("edge")),
        ("service_version: scriptVersion as text", r#","scriptVersion":"v1""#, "service_version", Some("v1")),
        ("service_version: its id", r#","scriptVersion":{"id":"v2","tag":"t"}"#, "service_version", Some("v2")),
        ("cloud_provider: const cloudflare", "", "cloud_provider", Some("cloudflare")),
        ("timestamp: eventTimestamp ms", "", "timestamp", Some("1790000000000000")),
        ("hour: of the event", "", "hour", Some("14")),
        ("day: of the event", "", "day", Some("2026-09-21")),
        ("schema_version: const 1", "", "schema_version", Some("1")),
        ("cpu_time_ms: cpuTime, 0 kept", r#","cpuTime":0"#, "cpu_time_ms", Some("0")),
        ("duration_ms: wallTime", r#","wallTime":14.5"#, "duration_ms", Some("14.5")),
        ("error_type: first exception", r#","exceptions":[{"name":"E","message":"m"},{"name":"F"}]"#, "error_type", Some("E")),
        ("error_message: first exception", r#","exceptions":[{"name":"E","message":""}]"#, "error_message", Some("")),
        ("error_stack: first exception", r#","exceptions":[{"stack":"at x"}]"#, "error_stack", Some("at x")),
        (
            "data: only what is not empty",
            r#","logs":[],"exceptions":[],"truncated":false"#,
            "data",
            Some(r#"{"truncated":false}"#),
        ),
        (
            "data: logs and exceptions as they came",
            r#","logs":[{"message":["a",1.10]}],"exceptions":[{"name":"E"}]"#,
            "data",
            Some(r#"{"logs":[{"message":["a",1.10]}],"exceptions":[{"name":"E"}]}"#),
        ),
        ("data: null when there is none", r#","logs":[]"#, "data", None),
    ];
    for (rule, more, column, text) in rules {
        hold(PATH, &[(rule, item("{}", more), &[(column, text)])]);
    }
}

#[test]
fn every_outcome() {
    for (sent, stored) in [
        ("ok", "success"),
        ("exception", "error"),
        ("exceededCpu", "exceeded_cpu"),
        ("exceededMemory", "exceeded_memory"),
        ("canceled", "canceled"),
        ("scriptNotFound", "script_not_found"),
        ("responseStreamDisconnected", "response_stream_disconnected"),
        ("loadShed", "load_shed"),
        ("unknown", "unknown"),
    ] {
        let row = row(PATH, &format!(r#"{{"outcome":"{sent}"}}"#));
        assert_eq!(row["outcome"], stored, "{sent}");
    }
    let strange = row(PATH, r#"{"outcome":"exploded"}"#);
    assert_eq!((strange["outcome"].as_str(), strange["data"].as_str()), ("unknown", r#"{"outcome":"exploded"}"#));
}

#[test]
fn every_rule_of_a_request() {
    let rules = [
        ("http_method: request.method", r#""method":"GET""#, "http_method", Some("GET")),
        ("http_url: request.url", r#""url":"https://h:8443/p?q=1""#, "http_url", Some("https://h:8443/p?q=1")),
        ("http_host: no port", r#""url":"https://h:8443/p?q=1""#, "http_host", Some("h")),
        ("http_path: pathname", r#""url":"https://h/p?q=1""#, "http_path", Some("/p")),
        ("http_query: search with its ?", r#""url":"https://h/p?q=1""#, "http_query", Some("?q=1")),
        ("http_query: empty is null", r#""url":"https://h/p?""#, "http_query", None),
        ("http_host: null on a bad url", r#""url":"::nonsense""#, "http_host", None),
        ("http_url: kept although bad", r#""url":"::nonsense""#, "http_url", Some("::nonsense")),
        ("http_status: response.status", "", "http_status", Some("404")),
        ("status_code: response.status", "", "status_code", Some("404")),
        ("http_protocol: cf.httpProtocol", r#""cf":{"httpProtocol":"HTTP/3"}"#, "http_protocol", Some("HTTP/3")),
        ("geo_country: cf.country", r#""cf":{"country":"DE"}"#, "geo_country", Some("DE")),
        ("geo_region: cf.region", r#""cf":{"region":"HE"}"#, "geo_region", Some("HE")),
        ("geo_city: cf.city", r#""cf":{"city":"Hanau"}"#, "geo_city", Some("Hanau")),
        ("geo_colo: cf.colo", r#""cf":{"colo":"FRA"}"#, "geo_colo", Some("FRA")),
        ("geo_timezone: cf.timezone", r#""cf":{"timezone":"Europe/Berlin"}"#, "geo_timezone", Some("Europe/Berlin")),
        ("geo_latitude: from text", r#""cf":{"latitude":"50.11"}"#, "geo_latitude", Some("50.11")),
        ("geo_longitude: 0 kept", r#""cf":{"longitude":0}"#, "geo_longitude", Some("0")),
        ("geo_latitude: NaN is none", r#""cf":{"latitude":"NaN"}"#, "geo_latitude", None),
        ("geo_asn: cf.asn", r#""cf":{"asn":3320}"#, "geo_asn", Some("3320")),
        ("geo_as_org: cf.asOrganization", r#""cf":{"asOrganization":"DTAG"}"#, "geo_as_org", Some("DTAG")),
        ("geo_postal: cf.postalCode", r#""cf":{"postalCode":"63450"}"#, "geo_postal", Some("63450")),
        ("bot_score: cf.botManagement", r#""cf":{"botManagement":{"score":0}}"#, "bot_score", Some("0")),
        ("bot_verified: cf.botManagement", r#""cf":{"botManagement":{"verifiedBot":false}}"#, "bot_verified", Some("false")),
        ("http_user_agent: its header", r#""headers":{"User-Agent":"curl"}"#, "http_user_agent", Some("curl")),
    ];
    for (rule, more, column, text) in rules {
        hold(PATH, &[(rule, fetch(more), &[(column, text)])]);
    }
    let header = format!(r#""headers":{{"traceparent":"00-{TRACE}-b7ad6b7169203331-01"}}"#);
    let ids: &[(&str, Option<&str>)] = &[("trace_id", Some(TRACE)), ("parent_id", Some("b7ad6b7169203331"))];
    hold(PATH, &[("trace_id: the traceparent header", fetch(&header), ids)]);
}

#[test]
fn headers_are_kept_without_what_lets_somebody_in() {
    let headers = r#""headers":{"Authorization":"Bearer s3cret","cookie":"sid=s3cret","set-cookie":"s3cret","accept":"*/*"}"#;
    let data = row(PATH, &fetch(headers)).remove("data").unwrap();
    assert!(!data.contains("s3cret"), "{data}");
    assert!(data.contains(r#""Authorization":"[removed]""#) && data.contains(r#""accept":"*/*""#), "{data}");
}

#[test]
fn every_kind_of_event_is_known_by_its_shape_or_by_its_type() {
    for (event, name) in [
        (r#"{"request":{"url":"https://h/"}}"#, "workers.fetch"),
        (r#"{"cron":"*/5 * * * *","scheduledTime":1790000000000}"#, "workers.scheduled"),
        (r#"{"scheduledTime":"2026-09-21T14:13:20Z"}"#, "workers.alarm"),
        (r#"{"queue":"orders","batchSize":10}"#, "workers.queue"),
        (r#"{"mailFrom":"a@x","rcptTo":"b@x","rawSize":5}"#, "workers.email"),
        (r#"{"rpcMethod":"add"}"#, "workers.rpc"),
        (r#"{"consumedEvents":[{"scriptName":"other"}]}"#, "workers.tail"),
        (r#"{"getWebSocketEvent":{"webSocketEventType":"close","code":1000}}"#, "workers.hibernatableWebSocket"),
        (r#"{"type":"custom","cron":"x"}"#, "workers.custom"),
        ("{}", "workers.invocation"),
        ("null", "workers.invocation"),
    ] {
        assert_eq!(row(PATH, &item(event, ""))["event_name"], name, "{event}");
    }
    let cron = row(PATH, &item(r#"{"cron":"*/5","scheduledTime":7}"#, "")).remove("data").unwrap();
    assert!(cron.starts_with(r#"{"cron":"*/5","scheduledTime":7"#), "{cron}");
    assert_eq!(row(PATH, &item(r#"{"rpcMethod":"add"}"#, ""))["rpc_method"], "add");
}

#[test]
fn queues_of_both_shapes() {
    let expected: &[(&str, Option<&str>)] =
        &[("msg_system", Some("cloudflare_queues")), ("msg_destination", Some("orders")), ("msg_batch_size", Some("0"))];
    hold(PATH, &[("queue: as it comes", item(r#"{"queue":"orders","batchSize":0}"#, ""), expected)]);
    let upstream = r#"{"type":"queue","queue":{"queueName":"orders","batchSize":0}}"#;
    hold(PATH, &[("queue: as in the reference system", item(upstream, ""), expected)]);
    assert_eq!(row(PATH, &item(r#"{"cron":"x"}"#, "")).get("msg_system"), None);
}

#[test]
fn an_item_is_recognised_by_its_ray() {
    let id = |more: &str, cpu: &str| {
        row(PATH, &item(&format!(r#"{{"request":{{"headers":{{{more}}}}}}}"#), cpu)).remove("id").unwrap()
    };
    assert_eq!(id(r#""cf-ray":"a""#, r#","cpuTime":1"#), id(r#""cf-ray":"a""#, r#","cpuTime":1,"truncated":false"#));
    assert_ne!(
        id(r#""cf-ray":"a""#, r#","cpuTime":1"#),
        id(r#""cf-ray":"a""#, r#","cpuTime":2"#),
        "another call of the same request"
    );
    assert_ne!(id(r#""cf-ray":"a""#, ""), id(r#""cf-ray":"b""#, ""));
    let twice = rows(PATH, &format!("[{0},{0}]", item("{}", "")));
    assert_ne!(twice[0]["id"], twice[1]["id"]);
}

#[test]
fn items_that_break_a_rule() {
    reject(
        PATH,
        &[
            ("no outcome", r#"{"scriptName":"x"}"#, "outcome", "is missing"),
            ("outcome is a number", r#"{"outcome":1}"#, "outcome", "must be a text"),
            ("time is huge", r#"{"outcome":"ok","eventTimestamp":1e400}"#, "eventTimestamp", "must be a time"),
            ("status is huge", &item(r#"{"response":{"status":18446744073709551616}}"#, ""), "status", "64 bits"),
            ("event is a list", &item("[]", ""), "event", "must be an object"),
            ("script is a number", r#"{"outcome":"ok","scriptName":5}"#, "scriptName", "must be a text"),
            ("cpu is a text", r#"{"outcome":"ok","cpuTime":"5"}"#, "cpuTime", "must be a number"),
        ],
    );
}
