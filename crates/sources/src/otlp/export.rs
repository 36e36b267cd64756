//! Events back to OTLP: what came in over OTLP goes out as it came.
//!
//! Equal up to the order and grouping of records. What storage normalises stays so: all-zero ids are absent, times
//! beyond the year 2262 are cut, attributes above the limit are only counted, a metric without points has no event.

mod logs;
mod metrics;
mod payload;
mod traces;

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message as _;
use watershed_schema::proto::Event;
use watershed_schema::{EventBatch, proto};

use payload::{Context, Data};

/// An event that did not come from OTLP, or is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {id}: {reason}")]
pub struct NotOtlp {
    /// The event.
    pub id: String,
    /// What is missing or wrong.
    pub reason: String,
}

/// The events of a batch, with their shared parts merged in.
///
/// # Panics
/// Never: a batch is an encoded `EventBatch`.
#[must_use]
pub fn events(batch: &EventBatch) -> Vec<Event> {
    let read = proto::EventBatch::decode(batch.body().clone()).expect("invariant: a batch is an encoded EventBatch");
    let shared: Vec<Vec<u8>> = read.shared.iter().map(prost::Message::encode_to_vec).collect();
    let merged = |own: Event| {
        let place = own.shared.and_then(|number| usize::try_from(number).ok()?.checked_sub(1));
        let Some(common) = place.and_then(|place| shared.get(place)) else { return own };
        let bytes = [common.as_slice(), &own.encode_to_vec()].concat();
        Event::decode(bytes.as_slice()).expect("invariant: two events after each other are an event")
    };
    read.events.into_iter().map(merged).collect()
}

/// Spans.
///
/// # Errors
/// [`NotOtlp`] for the first event that is no span of OTLP.
pub fn traces(events: &[Event]) -> Result<ExportTraceServiceRequest, NotOtlp> {
    let groups = grouped(events, traces::span)?;
    let group = |(context, spans): (Context, Vec<_>)| {
        let scope_spans = vec![ScopeSpans { scope: context.scope, spans, schema_url: context.scope_schema_url }];
        ResourceSpans { resource: context.resource, scope_spans, schema_url: context.resource_schema_url }
    };
    Ok(ExportTraceServiceRequest { resource_spans: groups.into_iter().map(group).collect() })
}

/// Log records.
///
/// # Errors
/// [`NotOtlp`] for the first event that is no log record of OTLP.
pub fn logs(events: &[Event]) -> Result<ExportLogsServiceRequest, NotOtlp> {
    let groups = grouped(events, logs::record)?;
    let group = |(context, log_records): (Context, Vec<_>)| {
        let scope_logs = vec![ScopeLogs { scope: context.scope, log_records, schema_url: context.scope_schema_url }];
        ResourceLogs { resource: context.resource, scope_logs, schema_url: context.resource_schema_url }
    };
    Ok(ExportLogsServiceRequest { resource_logs: groups.into_iter().map(group).collect() })
}

/// Metrics, one for each data point.
///
/// # Errors
/// [`NotOtlp`] for the first event that is no data point of OTLP.
pub fn metrics(events: &[Event]) -> Result<ExportMetricsServiceRequest, NotOtlp> {
    let groups = grouped(events, metrics::metric)?;
    let group = |(context, metrics): (Context, Vec<_>)| {
        let scope_metrics = vec![ScopeMetrics { scope: context.scope, metrics, schema_url: context.scope_schema_url }];
        ResourceMetrics { resource: context.resource, scope_metrics, schema_url: context.resource_schema_url }
    };
    Ok(ExportMetricsServiceRequest { resource_metrics: groups.into_iter().map(group).collect() })
}

type Groups<R> = Vec<(Context, Vec<R>)>;

/// Records by resource and scope, in the order of their first.
fn grouped<R>(events: &[Event], record: fn(&Event, &Data) -> Result<R, String>) -> Result<Groups<R>, NotOtlp> {
    let (mut groups, mut places): (Groups<R>, _) = (Vec::new(), BTreeMap::new());
    for event in events {
        let wrong = |reason: String| NotOtlp { id: event.id.clone().unwrap_or_default(), reason };
        let record = Data::of(event).and_then(|data| record(event, &data)).map_err(wrong)?;
        let key = event.context.as_ref().map(prost::Message::encode_to_vec).unwrap_or_default();
        let place = *places.entry(key).or_insert(groups.len());
        if place == groups.len() {
            groups.push((Context::of(event).map_err(wrong)?, Vec::new()));
        }
        groups[place].1.push(record);
    }
    Ok(groups)
}
