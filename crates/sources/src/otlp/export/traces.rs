//! A span of an event.

use opentelemetry_proto::tonic::trace::v1::span::{Event as SpanEvent, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use watershed_schema::proto::Event;

use super::payload::{Data, id_of, key_values};

pub(super) fn span(event: &Event, data: &Data) -> Result<Span, String> {
    let start = event.timestamp_ns.unwrap_or_default().cast_unsigned();
    let status = event
        .status_code
        .map(|code| Status { code: i32::try_from(code).unwrap_or_default(), message: data.text("status_message") });
    Ok(Span {
        trace_id: id_of(event.trace_id.as_ref())?,
        span_id: id_of(event.span_id.as_ref())?,
        trace_state: data.text("trace_state"),
        parent_span_id: id_of(event.parent_id.as_ref())?,
        flags: data.small("flags"),
        name: event.event_name.clone().unwrap_or_default(),
        kind: data.small("kind"),
        start_time_unix_nano: start,
        end_time_unix_nano: end(event, data, start),
        attributes: key_values(event.attributes.as_ref())?,
        dropped_attributes_count: data.small("dropped_attributes_count"),
        events: data.objects("events").iter().map(span_event).collect(),
        dropped_events_count: data.small("dropped_events_count"),
        links: data.objects("links").iter().map(link).collect::<Result<_, _>>()?,
        dropped_links_count: data.small("dropped_links_count"),
        status,
    })
}

/// Start and duration give the end exactly, as long as the duration is below 104 days (2^53 ns).
fn end(event: &Event, data: &Data, start: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration is never negative")]
    let exact = event.duration_ms.map(|ms| start + (ms * 1e6).round() as u64);
    match data.nanos("end_time_unix_nano") {
        0 => exact.unwrap_or_default(),
        end => end,
    }
}

fn span_event(data: &Data) -> SpanEvent {
    SpanEvent {
        time_unix_nano: data.nanos("time_unix_nano"),
        name: data.text("name"),
        attributes: data.object("attributes").0,
        dropped_attributes_count: data.small("dropped_attributes_count"),
    }
}

fn link(data: &Data) -> Result<Link, String> {
    Ok(Link {
        trace_id: data.id("trace_id")?,
        span_id: data.id("span_id")?,
        trace_state: data.text("trace_state"),
        attributes: data.object("attributes").0,
        dropped_attributes_count: data.small("dropped_attributes_count"),
        flags: data.small("flags"),
    })
}
