//! Segment: every rule of the mapping, and what is refused.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use support::{NOW_US, hold, reject, row, rows, send};

/// A message of everything that has a rule.
fn whole(call: &str) -> String {
    format!(
        r#"{{"type":"{call}","messageId":"m-1","event":"Order Completed","userId":"u-1","anonymousId":"a-1","groupId":"g-1",
        "timestamp":"2026-09-21T14:13:20.000Z","name":"Cart","category":"Shop","previousId":"old","integrations":{{"All":true}},
        "properties":{{"total":0,"url":"https://p.example/x","path":"/x","referrer":"https://r.example","title":"T","search":"?q=1"}},
        "traits":{{"name":"Ann","age":0}},
        "context":{{"page":{{"url":"https://c.example/y","path":"/y","referrer":"https://s.example","title":"C","search":"?c=1"}},
          "userAgent":"UA","ip":"203.0.113.7","locale":"de-DE","timezone":"Europe/Berlin",
          "device":{{"type":"mobile","model":"P9","brand":"Acme","manufacturer":"Other"}},"os":{{"name":"iOS","version":"18.1"}},
          "screen":{{"width":320,"height":640}},"library":{{"name":"js","version":"3.1"}},
          "location":{{"country":"DE","region":"BE","city":"Berlin","latitude":52.5,"longitude":0}},
          "campaign":{{"name":"n","source":"s","medium":"m","term":"t","content":"c"}},
          "sessionId":"s-1","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}}"#
    )
}

const EVERY_CALL: &[(&str, Option<&str>)] = &[
    ("id", Some("m-1")),
    ("ns", Some("acme")),
    ("event_source", Some("segment")),
    ("visibility", Some("user")),
    ("schema_version", Some("1")),
    ("batch_id", Some("b1")),
    ("actor_id", Some("u-1")),
    ("anonymous_id", Some("a-1")),
    ("session_id", Some("s-1")),
    ("trace_id", Some("0af7651916cd43dd8448eb211c80319c")),
    ("parent_id", Some("b7ad6b7169203331")),
    ("timestamp", Some("1790000000000000")),
    ("hour", Some("14")),
    ("day", Some("2026-09-21")),
    ("http_user_agent", Some("UA")),
    ("client_type", Some("js")),
    ("client_name", Some("js")),
    ("client_version", Some("3.1")),
    ("device_type", Some("mobile")),
    ("device_model", Some("P9")),
    ("device_brand", Some("Acme")),
    ("os_name", Some("iOS")),
    ("os_version", Some("18.1")),
    ("screen_size", Some("320x640")),
    ("geo_country", Some("DE")),
    ("geo_region", Some("BE")),
    ("geo_city", Some("Berlin")),
    ("geo_timezone", Some("Europe/Berlin")),
    ("geo_latitude", Some("52.5")),
    ("geo_longitude", Some("0")),
    ("campaign_name", Some("n")),
    ("campaign_source", Some("s")),
    ("campaign_medium", Some("m")),
    ("campaign_term", Some("t")),
    ("campaign_content", Some("c")),
    ("traits", Some(r#"{"name":"Ann","age":0}"#)),
];

#[test]
fn columns_of_every_call() {
    for call in ["track", "identify", "page", "screen", "group", "alias"] {
        hold(&format!("/v1/{call}"), &[(call, whole(call), EVERY_CALL)]);
        let context = row("/v1/batch", &format!(r#"{{"batch":[{}]}}"#, whole(call))).remove("context").unwrap();
        assert!(context.starts_with(r#"{"page":{"url"#) && context.contains(r#""ip":"203.0.113.7""#), "{call}: {context}");
    }
}

#[test]
fn type_and_name_of_each_call() {
    let said = |call: &str, kind: &'static str, name: &'static str| {
        hold(&format!("/v1/{call}"), &[(call, whole(call), &[("event_type", Some(kind)), ("event_name", Some(name))])]);
    };
    said("track", "track", "Order Completed");
    said("identify", "track", "identify");
    said("page", "page", "Shop.page_view");
    said("screen", "page", "Shop.screen_view");
    said("group", "track", "group");
    said("alias", "track", "alias");
    let plain = |call: &str| row(&format!("/v1/{call}"), r#"{"userId":"u"}"#).remove("event_name").unwrap();
    assert_eq!((plain("page"), plain("screen")), ("page_view".to_owned(), "screen_view".to_owned()));
}

#[test]
fn the_library_for_browsers_has_short_paths() {
    for call in ["track", "identify", "page", "screen", "group", "alias"] {
        let (short, whole) = (format!("/v1/{}", &call[..1]), whole(call));
        assert_eq!(row(&short, &whole), row(&format!("/v1/{call}"), &whole), "{call}");
        assert_eq!(row("/v1/b", &format!(r#"{{"writeKey":"k","batch":[{whole}]}}"#)), row(&short, &whole), "{call}: a batch");
    }
}

#[test]
fn page_columns_come_from_properties_in_page_calls_and_from_the_context_in_others() {
    hold(
        "/v1/page",
        &[(
            "page: name before properties.title, properties before context",
            whole("page"),
            &[
                ("page_title", Some("Cart")),
                ("http_url", Some("https://p.example/x")),
                ("http_path", Some("/x")),
                ("http_referrer", Some("https://r.example")),
                ("page_search", Some("?q=1")),
                ("http_query", Some("?q=1")),
            ],
        )],
    );
    hold(
        "/v1/page",
        &[(
            "page: properties.title without a name; the context's title is not used",
            r#"{"userId":"u","properties":{"title":"T"},"context":{"page":{"title":"C","url":"https://c.example"}}}"#.into(),
            &[("page_title", Some("T")), ("http_url", Some("https://c.example")), ("page_search", None)],
        )],
    );
    hold(
        "/v1/track",
        &[(
            "track: context.page",
            whole("track"),
            &[
                ("page_title", Some("C")),
                ("http_url", Some("https://c.example/y")),
                ("http_path", Some("/y")),
                ("http_referrer", Some("https://s.example")),
                ("page_search", Some("?c=1")),
                ("http_query", None),
            ],
        )],
    );
}

#[test]
fn identify_has_the_name_of_the_person_and_group_its_group() {
    hold("/v1/identify", &[("actor_name: traits.name", whole("identify"), &[("actor_name", Some("Ann"))])]);
    hold("/v1/track", &[("actor_name: identify only", whole("track"), &[("actor_name", None)])]);
    let group: &[(&str, Option<&str>)] = &[("resource_type", Some("group")), ("resource_id", Some("g-1"))];
    hold("/v1/group", &[("group", whole("group"), group)]);
}

#[test]
fn device_brand_is_the_brand_or_else_the_manufacturer() {
    let of = |device: &str| row("/v1/track", &format!(r#"{{"userId":"u","event":"e","context":{{"device":{device}}}}}"#));
    assert_eq!(of(r#"{"manufacturer":"M"}"#)["device_brand"], "M");
    assert_eq!(of(r#"{"manufacturer":"M","brand":"B"}"#)["device_brand"], "B");
}

#[test]
fn what_has_no_column_stays_in_data_and_properties() {
    let row = row("/v1/alias", &whole("alias"));
    let expected = r#"{"groupId":"g-1","name":"Cart","category":"Shop","previousId":"old","integrations":{"All":true}}"#;
    assert_eq!(row["data"], expected);
    assert!(row["properties"].starts_with(r#"{"total":0,"url""#));
}

#[test]
fn traits_are_those_of_the_message_or_else_of_the_context() {
    let row = row("/v1/track", r#"{"userId":"u","event":"e","context":{"traits":{"plan":"free"}}}"#);
    assert_eq!(row["traits"], r#"{"plan":"free"}"#);
}

#[test]
fn a_wrong_clock_is_corrected_and_the_sent_times_are_kept() {
    let sent = r#"{"userId":"u","event":"e","timestamp":"2020-01-01T00:00:00.000Z","sentAt":"2020-01-01T00:00:05.000Z"}"#;
    let late = row("/v1/track", sent);
    assert_eq!(late["timestamp"], (NOW_US - 5_000_000).to_string());
    assert_eq!(late["data"], r#"{"originalTimestamp":"2020-01-01T00:00:00.000000Z","sentAt":"2020-01-01T00:00:05.000000Z"}"#);
    let batch = r#"{"batch":[{"type":"track","userId":"u","event":"e","timestamp":"2020-01-01T00:00:00Z"}],"sentAt":"2020-01-01T00:00:05Z"}"#;
    assert_eq!(row("/v1/batch", batch)["timestamp"], late["timestamp"]);
}

#[test]
fn a_time_too_far_ahead_is_that_of_arrival_and_an_absent_one_too() {
    let far = row("/v1/track", r#"{"userId":"u","event":"e","timestamp":"2036-09-21T14:13:20Z"}"#);
    assert_eq!(
        (far["timestamp"].as_str(), far["data"].as_str()),
        ("1790000000000000", r#"{"original_timestamp":2105619200000000000}"#)
    );
    assert_eq!(row("/v1/track", r#"{"userId":"u","event":"e"}"#)["timestamp"], "1790000000000000");
}

#[test]
fn zero_false_and_empty_texts_are_values() {
    let sent =
        r#"{"userId":"","event":"","context":{"os":{"name":""},"location":{"latitude":0,"longitude":0.0}},"properties":{}}"#;
    let row = row("/v1/track", sent);
    for (column, value) in [
        ("actor_id", ""),
        ("event_name", ""),
        ("os_name", ""),
        ("geo_latitude", "0"),
        ("geo_longitude", "0"),
        ("properties", "{}"),
    ] {
        assert_eq!(row[column], value, "{column}");
    }
}

#[test]
fn free_form_parts_that_do_not_fit_a_column_stay_in_the_json() {
    let sent = r#"{"userId":7,"event":"e","context":{"os":{"name":5,"version":18},"device":"phone","location":{"latitude":"x"},
        "screen":{"width":0,"height":640}},"properties":[1],"traits":"text"}"#;
    let row = row("/v1/track", sent);
    assert_eq!((row["actor_id"].as_str(), row["os_version"].as_str(), row["traits"].as_str()), ("7", "18", "\"text\""));
    for column in ["os_name", "device_type", "geo_latitude", "screen_size"] {
        assert_eq!(row.get(column), None, "{column}");
    }
    assert!(row["context"].contains(r#""device":"phone""#));
}

#[test]
fn messages_that_break_a_rule_are_named() {
    reject(
        "/v1/batch",
        &[
            ("no type", r#"{"userId":"u","event":"e"}"#, "type", "is missing"),
            ("unknown type", r#"{"type":"buy","userId":"u"}"#, "type", "`buy` is none of"),
            ("nobody", r#"{"type":"track","event":"e"}"#, "userId", "one of userId and anonymousId"),
            ("null is nobody", r#"{"type":"track","event":"e","userId":null}"#, "userId", "one of"),
            ("no event", r#"{"type":"track","userId":"u"}"#, "event", "is missing"),
            ("event is a number", r#"{"type":"track","userId":"u","event":5}"#, "event", "must be a text, is 5"),
            ("no time", r#"{"type":"page","userId":"u","timestamp":"soon"}"#, "timestamp", "must be a time"),
            ("user is a list", r#"{"type":"page","userId":["u"]}"#, "userId", "must be a text or a number"),
            ("no message", r#"{"batch":[17]}"#, "record", "must be an object"),
        ],
    );
    let big = format!(r#"{{"type":"page","userId":"u","properties":{{"x":"{}"}}}}"#, "x".repeat(32 * 1024));
    reject("/v1/batch", &[("a message above Segment's limit", &big, "message", "limit 32768")]);
    let huge = format!(r#"{{"userId":"u","event":"{}"}}"#, "x".repeat(500 * 1024));
    assert!(send("/v1/track", &huge).unwrap_err().to_string().contains("limit 512000"));
    assert!(send("/v1/batch", r#"{"batch":{"type":"track"}}"#).unwrap_err().to_string().contains("batch: must be an array"));
}

#[test]
fn the_good_messages_of_a_batch_are_taken() {
    let batch = r#"{"batch":[{"type":"track","userId":"u","event":"a","messageId":"1"},{"type":"nonsense","userId":"u"},
        {"type":"page","anonymousId":"x","messageId":"2"}],"context":{"ip":"10.0.0.1"}}"#;
    let taken = send("/v1/batch", batch).unwrap();
    assert_eq!((taken.rejects.count, taken.rejects.first[0].index), (1, 1));
    let rows: Vec<_> = taken.batch.unwrap().rows().map(|row| support::texts(&row)).collect();
    assert_eq!(rows.iter().map(|row| row["id"].as_str()).collect::<Vec<_>>(), ["1", "2"]);
    assert!(rows.iter().all(|row| row["context"] == r#"{"ip":"10.0.0.1"}"#), "the batch's context is that of its messages");
}

#[test]
fn a_batch_of_nothing_is_nothing() {
    assert!(rows("/v1/batch", r#"{"batch":[]}"#).is_empty());
}

#[test]
fn ten_thousand_messages_of_one_batch_are_taken() {
    let message = r#"{"type":"track","event":"e","userId":"u"}"#;
    let request = format!(r#"{{"batch":[{}]}}"#, vec![message; 10_000].join(","));
    let taken = send("/v1/batch", &request).unwrap();
    let ids: std::collections::BTreeSet<u128> = taken.batch.unwrap().id_hashes().unwrap().into_iter().collect();
    assert_eq!((ids.len(), taken.rejects.count), (10_000, 0), "without a messageId each is one event");
}

#[test]
fn a_message_that_is_sent_twice_has_one_id() {
    let message = r#"{"type":"track","event":"e","userId":"u","messageId":"m-1"}"#;
    let batch = send("/v1/batch", &format!(r#"{{"batch":[{message},{message}]}}"#)).unwrap().batch.unwrap();
    let hashes = batch.id_hashes().unwrap();
    assert_eq!((hashes.len(), hashes[0]), (2, hashes[1]), "dedupe recognises it");
    assert_eq!(batch.id_hashes().unwrap()[0], send("/v1/track", message).unwrap().batch.unwrap().id_hashes().unwrap()[0]);
}
