//! Times that no table can hold are rejects that name the field and the limit, whatever the source.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use prost::Message as _;
use support::{NOW_US, context, reject, row, send};
use watershed_schema::limits::{TIME_MICROS_MAX, TIME_MICROS_MIN};
use watershed_schema::proto;
use watershed_sources::native;

/// `%` is the time.
const SOURCES: [(&str, &str, &str); 12] = [
    ("/v1/track", r#"{"event":"e","userId":"u","timestamp":%}"#, "timestamp"),
    ("/v1/track", r#"{"event":"e","userId":"u","timestamp":1,"sentAt":%}"#, "sentAt"),
    ("/v1/cdc", r#"{"operation":"INSERT","table":"t","timestamp":%}"#, "timestamp"),
    ("/v1/cdc", r#"{"action":"I","table":"t","timestamp":%}"#, "timestamp"),
    ("/v1/events", r#"{"verb":"v","createdAt":%}"#, "createdAt"),
    ("/v1/actions", r#"{"id":"1","verb":"v","status":"failed","startedAt":%}"#, "startedAt"),
    ("/v1/native", r#"{"event_type":"track","event_name":"e","ended_at":%}"#, "ended_at"),
    ("/v1/native", r#"{"event_type":"track","event_name":"e","timestamp":%}"#, "timestamp"),
    ("/v1/vitals", r#"{"name":"LCP","value":1,"timestamp":%}"#, "timestamp"),
    ("/v1/replay", r#"{"type":2,"sessionId":"s","timestamp":%}"#, "timestamp"),
    ("/v1/snippet", r#"{"name":"https://a/","initiatorType":"img","timestamp":%}"#, "timestamp"),
    ("/v1/snippet", r#"{"name":"https://a/","initiatorType":"img","startTime":1,"timeOrigin":%}"#, "timeOrigin"),
];

#[test]
fn before_the_year_1_and_behind_9999() {
    for (path, request, field) in SOURCES {
        for time in ["\"+012026-01-01T00:00:00Z\"", "\"-0001-01-01T00:00:00Z\"", "-62135596800001", "253402300800000", "1e300"] {
            reject(path, &[(time, &request.replace('%', time), field, "outside the years 1 to 9999")]);
        }
    }
}

#[test]
fn the_first_and_the_last_moment_are_times() {
    for time in ["\"0001-01-01T00:00:00Z\"", "-62135596800000"] {
        assert_eq!(
            row("/v1/vitals", &format!(r#"{{"name":"LCP","value":1,"timestamp":{time}}}"#))["timestamp"],
            TIME_MICROS_MIN.to_string()
        );
    }
    let action = r#"{"id":"1","verb":"v","status":"failed","startedAt":"0001-01-01T00:00:00Z","completedAt":"9999-12-31T23:59:59.999999Z"}"#;
    let action = row("/v1/actions", action);
    assert_eq!((&*action["ended_at"], &*action["duration_ms"]), (&*TIME_MICROS_MAX.to_string(), "315537897600000"));
}

#[test]
fn debezium_counts_in_three_units() {
    for (field, number) in [("ts_ms", "253402300800000"), ("ts_ms", "9223372036854775807"), ("ts_us", "253402300800000000")] {
        let request = format!(r#"{{"op":"c","source":{{"table":"t","{field}":{number}}},"after":{{"id":1}}}}"#);
        reject("/v1/cdc", &[(number, &request, field, "outside the years 1 to 9999")]);
    }
}

/// The clock of the sender may be off by ten thousand years.
#[test]
fn a_corrected_time_must_fit_too() {
    let message = r#"{"event":"e","userId":"u","timestamp":"0001-01-01T00:00:00Z","sentAt":"9999-12-31T00:00:00Z"}"#;
    reject("/v1/track", &[("received at − (sent at − original)", message, "timestamp", "outside the years 1 to 9999")]);
}

#[test]
fn native_events_and_what_they_share() {
    let event = || proto::Event { event_type: Some("track".into()), event_name: Some("e".into()), ..Default::default() };
    let bad = proto::Event { started_at: Some(TIME_MICROS_MAX + 1), ..Default::default() };
    let events = vec![
        event(),
        proto::Event { timestamp: Some(TIME_MICROS_MIN - 1), ..event() },
        proto::Event { ended_at: Some(i64::MAX), ..event() },
        proto::Event { shared: Some(1), ..event() },
        proto::Event { timestamp: Some(TIME_MICROS_MIN), started_at: Some(TIME_MICROS_MAX), ..event() },
    ];
    let request = proto::EventBatch { shared: vec![bad], events }.encode_to_vec();
    let taken = native::transform(&request, &context()).unwrap();
    let told: Vec<_> = taken.rejects.first.iter().map(|reject| (reject.index, reject.field)).collect();
    assert_eq!(told, [(1, "timestamp"), (2, "ended_at"), (3, "started_at")]);
    assert!(taken.rejects.summary().contains("outside the years 1 to 9999"));
    assert_eq!(taken.batch.unwrap().len(), 2);
}

#[test]
fn an_envelope_of_segment_with_no_time_is_sent_now() {
    let request = r#"{"sentAt":"+012026-01-01T00:00:00Z","batch":[{"type":"track","event":"e","userId":"u"}]}"#;
    let batch = send("/v1/batch", request).unwrap().batch.unwrap();
    assert_eq!(support::texts(&batch.row(0))["timestamp"], NOW_US.to_string());
}

#[test]
fn a_time_far_ahead_is_kept_whole_beside_the_arrival() {
    let row = row("/v1/events", r#"{"verb":"v","timestamp":"9999-12-31T23:59:59.999999Z"}"#);
    assert_eq!(row["timestamp"], NOW_US.to_string());
    assert_eq!(row["data"], r#"{"original_timestamp":253402300799999999000}"#);
}
