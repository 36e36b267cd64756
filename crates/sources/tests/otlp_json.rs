//! OTLP/JSON means what the same request in protobuf means.

#![allow(clippy::unwrap_used, reason = "tests")]

use opentelemetry_proto::tonic::collector::{logs::v1::*, metrics::v1::*, trace::v1::*};
use prost::Message;
use watershed_schema::TenantId;
use watershed_sources::otlp::{Signal, transform, transform_json};
use watershed_sources::{Context, InvalidRequest};

fn context() -> Context {
    Context { tenant: TenantId::new("acme").unwrap(), received_at_us: 1_790_000_000_000_000, batch_id: "b1".into() }
}

/// From the examples of the specification, with values that are easily lost.
const TRACES: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
 "scopeSpans":[{"scope":{"name":"lib","version":"1","attributes":[]},"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C",
 "spanId":"EEE19B7EC3C1B174","parentSpanId":"EEE19B7EC3C1B173","name":"GET /","kind":2,"unknownField":{"a":[1]},
 "startTimeUnixNano":"1789999000123456789","endTimeUnixNano":"1789999000124456789","attributes":[
 {"key":"a.int","value":{"intValue":"9007199254740993"}},{"key":"a.zero","value":{"intValue":0}},{"key":"a.false","value":{"boolValue":false}},
 {"key":"a.empty","value":{"stringValue":""}},{"key":"a.double","value":{"doubleValue":1.5}},{"key":"a.bytes","value":{"bytesValue":"AAEC"}},
 {"key":"a.list","value":{"arrayValue":{"values":[{"intValue":1},{"stringValue":"x"}]}}},
 {"key":"a.map","value":{"kvlistValue":{"values":[{"key":"k","value":{"boolValue":true}}]}}}],
 "events":[{"timeUnixNano":"1789999000123456800","name":"e","attributes":[]}],"status":{"code":2,"message":"no"}}]}]}]}"#;

const LOGS: &str = r#"{"resourceLogs":[{"resource":{},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1789999000123456789","severityNumber":13,
 "body":{"kvlistValue":{"values":[{"key":"n","value":{"intValue":"1"}}]}},"traceId":"5b8efff798038103d269b633813fc60c"}]}]}]}"#;

const METRICS: &str = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","unit":"1","sum":{"aggregationTemporality":2,"isMonotonic":true,
 "dataPoints":[{"asInt":"5","startTimeUnixNano":"1789999000000000000","timeUnixNano":"1789999000123456789","attributes":[]}]}},
 {"name":"h","histogram":{"aggregationTemporality":1,"dataPoints":[{"timeUnixNano":"1789999000123456789","count":"2","sum":3.5,"bucketCounts":["1","1"],"explicitBounds":[2]}]}}]}]}]}"#;

fn protobuf(signal: Signal, json: &str) -> Vec<u8> {
    match signal {
        Signal::Traces => serde_json::from_str::<ExportTraceServiceRequest>(json).unwrap().encode_to_vec(),
        Signal::Logs => serde_json::from_str::<ExportLogsServiceRequest>(json).unwrap().encode_to_vec(),
        Signal::Metrics => serde_json::from_str::<ExportMetricsServiceRequest>(json).unwrap().encode_to_vec(),
    }
}

#[test]
fn json_and_protobuf_give_the_same_rows() {
    for (signal, json, rows) in [(Signal::Traces, TRACES, 1), (Signal::Logs, LOGS, 1), (Signal::Metrics, METRICS, 2)] {
        let from_json = transform_json(signal, json.as_bytes(), &context()).unwrap();
        let from_protobuf = transform(signal, &protobuf(signal, json), &context()).unwrap();
        assert_eq!(from_json.rejects.count, 0, "{:?}", from_json.rejects);
        let batch = from_json.batch.unwrap();
        assert_eq!(batch.len(), rows);
        assert_eq!(batch.body(), from_protobuf.batch.unwrap().body());
    }
}

#[test]
fn what_json_says_is_what_is_read() {
    let request: ExportTraceServiceRequest = serde_json::from_str(TRACES).unwrap();
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.trace_id[..3], [0x5b, 0x8e, 0xff]);
    assert_eq!(span.start_time_unix_nano, 1_789_999_000_123_456_789);
    assert_eq!(span.attributes.len(), 8);
    let printed = format!("{:?}", span.attributes);
    for value in [
        "IntValue(9007199254740993)",
        "IntValue(0)",
        "BoolValue(false)",
        "StringValue(\"\")",
        "DoubleValue(1.5)",
        "BytesValue([0, 1, 2])",
    ] {
        assert!(printed.contains(value), "{value} in {printed}");
    }
}

#[test]
fn bad_json_says_where() {
    let bad = ["", "{", "[]", r#"{"resourceSpans": 5}"#, r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}"#];
    for text in bad {
        let refused = transform_json(Signal::Traces, text.as_bytes(), &context());
        let Err(InvalidRequest::Undecodable(reason)) = refused else { panic!("{text}: {refused:?}") };
        assert!(reason.contains("line"), "{text}: {reason}");
    }
}
