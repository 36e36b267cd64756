//! OTLP in, events, OTLP out: equal up to the order and grouping of records.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

use opentelemetry_proto::tonic::collector::{logs::v1::*, metrics::v1::*, trace::v1::*};
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    exponential_histogram_data_point::Buckets, metric::Data, summary_data_point::ValueAtQuantile, *,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use proptest::prelude::*;
use prost::Message;
use watershed_schema::TenantId;
use watershed_sources::otlp::{Signal, export, transform};
use watershed_sources::{Context, Transformed};

const NOW_US: i64 = 1_790_000_000_000_000;

/// Everything that a request can say, drawn from a seed; edges are likely.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 7
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn sometimes<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| draw(self))
    }

    fn list<T>(&mut self, draw: impl Fn(&mut Self) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| draw(self)).collect()
    }

    fn text(&mut self) -> String {
        ["", "a", "GET /x?y=1", "Ä\"\\\n", "http.method", "0", "exception"][self.below(7) as usize].to_owned()
    }

    fn int(&mut self) -> i64 {
        [0, 1, -1, i64::MAX, i64::MIN, 9_007_199_254_740_993][self.below(6) as usize]
    }

    fn double(&mut self) -> f64 {
        [0.0, -0.5, 1.0, 0.1, 1e300, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE][self.below(8) as usize]
    }

    fn count(&mut self) -> u32 {
        [0, 1, u32::MAX][self.below(3) as usize]
    }

    fn nanos(&mut self) -> u64 {
        [0, 1, 1_789_999_000_123_456_789, 1_789_999_000_123_456_790, 1_000_000_007][self.below(5) as usize]
    }

    fn id(&mut self, bytes: usize) -> Vec<u8> {
        if self.below(4) == 0 { Vec::new() } else { (0..bytes).map(|_| self.below(255) as u8 + 1).collect() }
    }

    fn any(&mut self, depth: u64) -> AnyValue {
        let value = match self.below(if depth == 0 { 6 } else { 8 }) {
            0 => None,
            1 => Some(Value::StringValue(self.text())),
            2 => Some(Value::BoolValue(self.below(2) == 0)),
            3 => Some(Value::IntValue(self.int())),
            4 => Some(Value::DoubleValue(self.double())),
            5 => Some(Value::BytesValue(self.list(|draw| draw.below(256) as u8))),
            6 => Some(Value::ArrayValue(ArrayValue { values: self.list(|draw| draw.any(depth - 1)) })),
            _ => Some(Value::KvlistValue(KeyValueList { values: self.list(|draw| draw.key_value(depth - 1)) })),
        };
        AnyValue { value }
    }

    fn key_value(&mut self, depth: u64) -> KeyValue {
        KeyValue { key: self.text(), value: self.sometimes(|draw| draw.any(depth)), ..KeyValue::default() }
    }

    fn attributes(&mut self) -> Vec<KeyValue> {
        self.list(|draw| draw.key_value(3))
    }

    fn resource(&mut self) -> Option<Resource> {
        let entity = |draw: &mut Self| EntityRef {
            schema_url: draw.text(),
            r#type: draw.text(),
            id_keys: vec![draw.text()],
            description_keys: Vec::new(),
        };
        self.sometimes(|draw| Resource {
            attributes: draw.attributes(),
            dropped_attributes_count: draw.count(),
            entity_refs: draw.list(entity),
        })
    }

    fn scope(&mut self) -> Option<InstrumentationScope> {
        self.sometimes(|draw| InstrumentationScope {
            name: draw.text(),
            version: draw.text(),
            attributes: draw.attributes(),
            dropped_attributes_count: draw.count(),
        })
    }

    fn span(&mut self) -> Span {
        let event = |draw: &mut Self| span::Event {
            time_unix_nano: draw.nanos(),
            name: draw.text(),
            attributes: draw.attributes(),
            dropped_attributes_count: draw.count(),
        };
        let link = |draw: &mut Self| span::Link {
            trace_id: draw.id(16),
            span_id: draw.id(8),
            trace_state: draw.text(),
            attributes: draw.attributes(),
            dropped_attributes_count: draw.count(),
            flags: draw.count(),
        };
        Span {
            trace_id: self.id(16),
            span_id: self.id(8),
            trace_state: self.text(),
            parent_span_id: self.id(8),
            flags: self.count(),
            name: self.text(),
            kind: self.below(7) as i32,
            start_time_unix_nano: self.nanos(),
            end_time_unix_nano: self.nanos(),
            attributes: self.attributes(),
            dropped_attributes_count: self.count(),
            events: self.list(event),
            dropped_events_count: self.count(),
            links: self.list(link),
            dropped_links_count: self.count(),
            status: self.sometimes(|draw| Status { code: draw.below(4) as i32, message: draw.text() }),
        }
    }

    fn log(&mut self) -> LogRecord {
        LogRecord {
            time_unix_nano: self.nanos(),
            observed_time_unix_nano: self.nanos(),
            severity_number: self.below(25) as i32,
            severity_text: self.text(),
            body: self.sometimes(|draw| draw.any(3)),
            attributes: self.attributes(),
            dropped_attributes_count: self.count(),
            flags: self.count(),
            trace_id: self.id(16),
            span_id: self.id(8),
            event_name: self.text(),
        }
    }

    fn exemplar(&mut self) -> Exemplar {
        let value = |draw: &mut Self| {
            if draw.below(2) == 0 { exemplar::Value::AsInt(draw.int()) } else { exemplar::Value::AsDouble(draw.double()) }
        };
        Exemplar {
            filtered_attributes: self.attributes(),
            time_unix_nano: self.nanos(),
            span_id: self.id(8),
            trace_id: self.id(16),
            value: self.sometimes(value),
        }
    }

    fn number(&mut self) -> NumberDataPoint {
        let value = |draw: &mut Self| {
            if draw.below(2) == 0 {
                number_data_point::Value::AsInt(draw.int())
            } else {
                number_data_point::Value::AsDouble(draw.double())
            }
        };
        NumberDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.nanos(),
            time_unix_nano: self.nanos(),
            exemplars: self.list(Self::exemplar),
            flags: self.below(3) as u32,
            value: self.sometimes(value),
        }
    }

    fn histogram(&mut self) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.nanos(),
            time_unix_nano: self.nanos(),
            count: self.next(),
            sum: self.sometimes(Self::double),
            bucket_counts: self.list(Self::next),
            explicit_bounds: self.list(Self::double),
            exemplars: self.list(Self::exemplar),
            flags: self.count(),
            min: self.sometimes(Self::double),
            max: self.sometimes(Self::double),
        }
    }

    fn exponential(&mut self) -> ExponentialHistogramDataPoint {
        let buckets = |draw: &mut Self| Buckets { offset: draw.int() as i32, bucket_counts: draw.list(Self::next) };
        ExponentialHistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.nanos(),
            time_unix_nano: self.nanos(),
            count: self.next(),
            sum: self.sometimes(Self::double),
            scale: self.int() as i32,
            zero_count: self.next(),
            positive: self.sometimes(buckets),
            negative: self.sometimes(buckets),
            flags: self.count(),
            exemplars: self.list(Self::exemplar),
            min: self.sometimes(Self::double),
            max: self.sometimes(Self::double),
            zero_threshold: self.double(),
        }
    }

    fn summary(&mut self) -> SummaryDataPoint {
        SummaryDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.nanos(),
            time_unix_nano: self.nanos(),
            count: self.next(),
            sum: self.double(),
            quantile_values: self.list(|draw| ValueAtQuantile { quantile: draw.double(), value: draw.double() }),
            flags: self.count(),
        }
    }

    /// With one point: grouping points into metrics is not kept.
    fn metric(&mut self) -> Metric {
        let aggregation_temporality = self.below(3) as i32;
        let data = match self.below(5) {
            0 => Data::Gauge(Gauge { data_points: vec![self.number()] }),
            1 => Data::Sum(Sum { data_points: vec![self.number()], aggregation_temporality, is_monotonic: self.below(2) == 0 }),
            2 => Data::Histogram(Histogram { data_points: vec![self.histogram()], aggregation_temporality }),
            3 => Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![self.exponential()],
                aggregation_temporality,
            }),
            _ => Data::Summary(Summary { data_points: vec![self.summary()] }),
        };
        Metric { name: self.text(), description: self.text(), unit: self.text(), metadata: self.attributes(), data: Some(data) }
    }
}

fn events(signal: Signal, request: &[u8]) -> Vec<watershed_schema::proto::Event> {
    let context = Context { tenant: TenantId::new("acme").unwrap(), received_at_us: NOW_US, batch_id: "b".into() };
    let Transformed { batch, rejects, dropped_attributes } = transform(signal, request, &context).unwrap();
    assert_eq!((rejects.count, dropped_attributes), (0, 0), "{rejects:?}");
    batch.as_ref().map(export::events).unwrap_or_default()
}

/// One line a record: where it comes from and what it says. An absent resource or scope is an empty one.
fn line(resource: Option<&Resource>, scope: Option<&InstrumentationScope>, urls: [&str; 2], record: &impl Message) -> Vec<u8> {
    let parts = [
        resource.map(Message::encode_to_vec).unwrap_or_default(),
        scope.map(Message::encode_to_vec).unwrap_or_default(),
        urls.join("\0").into_bytes(),
        record.encode_to_vec(),
    ];
    parts.into_iter().flat_map(|part| [(part.len() as u64).to_be_bytes().to_vec(), part].concat()).collect()
}

fn sorted(mut lines: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    lines.sort_unstable();
    lines
}

fn span_lines(request: &ExportTraceServiceRequest) -> Vec<Vec<u8>> {
    let scopes = request.resource_spans.iter().flat_map(|group| group.scope_spans.iter().map(move |scope| (group, scope)));
    let of = |(group, scope): (&ResourceSpans, &ScopeSpans)| -> Vec<Vec<u8>> {
        let urls = [group.schema_url.as_str(), scope.schema_url.as_str()];
        scope.spans.iter().map(|span| line(group.resource.as_ref(), scope.scope.as_ref(), urls, span)).collect()
    };
    sorted(scopes.flat_map(of).collect())
}

fn log_lines(request: &ExportLogsServiceRequest) -> Vec<Vec<u8>> {
    let scopes = request.resource_logs.iter().flat_map(|group| group.scope_logs.iter().map(move |scope| (group, scope)));
    let of = |(group, scope): (&ResourceLogs, &ScopeLogs)| -> Vec<Vec<u8>> {
        let urls = [group.schema_url.as_str(), scope.schema_url.as_str()];
        scope.log_records.iter().map(|record| line(group.resource.as_ref(), scope.scope.as_ref(), urls, record)).collect()
    };
    sorted(scopes.flat_map(of).collect())
}

fn metric_lines(request: &ExportMetricsServiceRequest) -> Vec<Vec<u8>> {
    let scopes = request.resource_metrics.iter().flat_map(|group| group.scope_metrics.iter().map(move |scope| (group, scope)));
    let of = |(group, scope): (&ResourceMetrics, &ScopeMetrics)| -> Vec<Vec<u8>> {
        let urls = [group.schema_url.as_str(), scope.schema_url.as_str()];
        scope.metrics.iter().map(|metric| line(group.resource.as_ref(), scope.scope.as_ref(), urls, metric)).collect()
    };
    sorted(scopes.flat_map(of).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn traces_come_back(seed in any::<u64>()) {
        let scope = |draw: &mut Draw| ScopeSpans { scope: draw.scope(), spans: draw.list(Draw::span), schema_url: draw.text() };
        let group = |draw: &mut Draw| ResourceSpans { resource: draw.resource(), scope_spans: draw.list(scope), schema_url: draw.text() };
        let request = ExportTraceServiceRequest { resource_spans: Draw(seed).list(group) };
        let back = export::traces(&events(Signal::Traces, &request.encode_to_vec())).unwrap();
        prop_assert_eq!(span_lines(&back), span_lines(&request), "{:#?}\n{:#?}", back, request);
    }

    #[test]
    fn logs_come_back(seed in any::<u64>()) {
        let scope = |draw: &mut Draw| ScopeLogs { scope: draw.scope(), log_records: draw.list(Draw::log), schema_url: draw.text() };
        let group = |draw: &mut Draw| ResourceLogs { resource: draw.resource(), scope_logs: draw.list(scope), schema_url: draw.text() };
        let request = ExportLogsServiceRequest { resource_logs: Draw(seed).list(group) };
        let back = export::logs(&events(Signal::Logs, &request.encode_to_vec())).unwrap();
        prop_assert_eq!(log_lines(&back), log_lines(&request), "{:#?}\n{:#?}", back, request);
    }

    #[test]
    fn metrics_come_back(seed in any::<u64>()) {
        let scope = |draw: &mut Draw| ScopeMetrics { scope: draw.scope(), metrics: draw.list(Draw::metric), schema_url: draw.text() };
        let group = |draw: &mut Draw| ResourceMetrics { resource: draw.resource(), scope_metrics: draw.list(scope), schema_url: draw.text() };
        let request = ExportMetricsServiceRequest { resource_metrics: Draw(seed).list(group) };
        let back = export::metrics(&events(Signal::Metrics, &request.encode_to_vec())).unwrap();
        prop_assert_eq!(metric_lines(&back), metric_lines(&request), "{:#?}\n{:#?}", back, request);
    }

    /// Whatever the bytes: an error, or rows and rejects; never a panic.
    #[test]
    fn damaged_requests_do_no_harm(seed in any::<u64>(), place in any::<prop::sample::Index>(), bit in 0..8u8, cut in any::<bool>()) {
        let mut draw = Draw(seed);
        let spans = vec![draw.span(), draw.span()];
        let scope_spans = vec![ScopeSpans { scope: draw.scope(), spans, schema_url: String::new() }];
        let request = ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { resource: draw.resource(), scope_spans, schema_url: String::new() }] };
        let mut bytes = request.encode_to_vec();
        let at = place.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        let context = Context { tenant: TenantId::new("acme").unwrap(), received_at_us: NOW_US, batch_id: "b".into() };
        for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
            if let Ok(Transformed { batch: Some(batch), .. }) = transform(signal, &bytes, &context) {
                prop_assert!(export::events(&batch).len() == batch.len());
            }
        }
    }
}
