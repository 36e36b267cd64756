//! OpenTelemetry traces, metrics and logs: one pass over the protobuf bytes.
//!
//! Attribute bytes are copied as they are; prost structs are the oracle in tests only.

mod attributes;
pub mod export;
mod json;
mod logs;
mod metrics;
mod resource;
mod traces;
mod walk;

use watershed_schema::wire::{Fields, Raw};
use watershed_schema::{BatchBuilder, BatchError, EventType, Shared, limits};

use crate::ids::RequestDigest;
use crate::{Context, Fault, InvalidRequest, Reject, Rejects, Transformed};
pub use json::transform_json;
use resource::Resource;

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// `ExportTraceServiceRequest`.
    Traces,
    /// `ExportMetricsServiceRequest`.
    Metrics,
    /// `ExportLogsServiceRequest`.
    Logs,
}

impl Signal {
    fn event_type(self) -> EventType {
        match self {
            Self::Traces => EventType::Trace,
            Self::Metrics => EventType::Metric,
            Self::Logs => EventType::Log,
        }
    }
}

/// What one record needs while it is written.
struct Work<'c> {
    context: &'c Context,
    digest: RequestDigest,
    builder: BatchBuilder,
    rejects: Rejects,
    dropped_attributes: u64,
    ordinal: u64,
}

impl Work<'_> {
    /// Counts a record, good or bad.
    fn next_ordinal(&mut self) -> u64 {
        self.ordinal += 1;
        self.ordinal - 1
    }

    /// Whether so many records more may fit: asked before they are read, so that what is refused costs nothing.
    fn check_room(&self, more: usize) -> Result<(), InvalidRequest> {
        self.builder.check()?;
        let rows = self.builder.len().saturating_add(more);
        if rows > limits::BATCH_ROWS_MAX { Err(BatchError::TooManyRows(rows).into()) } else { Ok(()) }
    }

    fn reject(&mut self, index: u64, (field, reason): Fault) {
        self.rejects.add(Reject { index, field, reason });
    }
}

/// Events of an encoded export request.
///
/// # Errors
/// [`InvalidRequest`] when the bytes are no such request, or hold more than a batch may.
pub fn transform(signal: Signal, request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    let mut work = Work {
        context,
        digest: RequestDigest::of(request),
        builder: BatchBuilder::new(context.tenant.clone(), request.len() + request.len() / 4),
        rejects: Rejects::default(),
        dropped_attributes: 0,
        ordinal: 0,
    };
    let mut fields = Fields::new(request);
    while let Some((field, raw)) = fields.next_field()? {
        if let (1, Raw::Bytes(resource_group)) = (field, raw) {
            walk_resource(signal, resource_group, &mut work)?;
        }
    }
    finish(work)
}

fn finish(work: Work<'_>) -> Result<Transformed, InvalidRequest> {
    let Work { builder, rejects, dropped_attributes, .. } = work;
    let batch = if builder.is_empty() { None } else { Some(builder.finish()?) };
    Ok(Transformed { batch, rejects, dropped_attributes })
}

/// `ResourceSpans`, `ResourceMetrics`, `ResourceLogs`: the same three fields. Fields may come in any order.
fn walk_resource(signal: Signal, group: &[u8], work: &mut Work<'_>) -> Result<(), InvalidRequest> {
    let group = walk::Group::of(group)?;
    if group.members.is_empty() {
        return Ok(());
    }
    // Read once: a resource may be big and have many scopes.
    let resource = Resource::of(&group)?;
    work.dropped_attributes += resource.dropped();
    for scope_group in &group.members {
        let scope = walk::Group::of(scope_group)?;
        if !scope.members.is_empty() {
            work.check_room(scope.members.len())?;
            let shared = resource.write(&scope, signal.event_type(), work)?;
            walk_records(signal, &scope.members, shared, work)?;
        }
    }
    Ok(())
}

fn walk_records(signal: Signal, records: &[&[u8]], shared: Shared, work: &mut Work<'_>) -> Result<(), InvalidRequest> {
    for record in records {
        work.builder.check()?;
        match signal {
            Signal::Traces => traces::span(record, shared, work)?,
            Signal::Logs => logs::record(record, shared, work)?,
            Signal::Metrics => metrics::metric(record, shared, work)?,
        }
    }
    Ok(())
}
