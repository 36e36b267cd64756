//! Spans.

use watershed_schema::wire::{Fields, Malformed, Raw};
use watershed_schema::{Column, EventWriter, KeyValueWriter, Shared};

use super::attributes::{Attributes, of_record};
use super::resource::{copy, count};
use super::{Fault, Work, walk};
use crate::ids::{Hex, Id, id_in};
use crate::system::EventTime;

#[derive(Default)]
struct Span<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    trace_state: &'a str,
    parent_id: &'a [u8],
    name: &'a str,
    kind: u64,
    start_ns: u64,
    end_ns: u64,
    attributes: Attributes<'a>,
    dropped_attributes: u64,
    events: Vec<Member<'a>>,
    dropped_events: u64,
    links: Vec<Member<'a>>,
    dropped_links: u64,
    status: Option<Status<'a>>,
    flags: u32,
}

/// Span kinds of messaging.
const PRODUCER: u64 = 4;
const CONSUMER: u64 = 5;

#[derive(Default)]
struct Status<'a> {
    code: u64,
    message: &'a str,
}

/// A span event or a link.
#[derive(Default)]
struct Member<'a> {
    time_ns: u64,
    name: &'a str,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    trace_state: &'a str,
    attributes: Attributes<'a>,
    dropped: u64,
    flags: u32,
}

/// Writes one `Span` as an event, or says why not.
pub(super) fn span(message: &[u8], shared: Shared, work: &mut Work<'_>) -> Result<(), Malformed> {
    let index = work.next_ordinal();
    match parse(message)? {
        Ok(span) => {
            work.dropped_attributes += span.all_dropped();
            let (time, id) = (EventTime::of(span.start_ns, work.context), span.id(work, index));
            work.builder.row(Some(shared), |row| span.write(&id, time, row));
        }
        Err(fault) => work.reject(index, fault),
    }
    Ok(())
}

/// Outer error: not protobuf. Inner error: a record that breaks a rule.
fn parse(message: &[u8]) -> Result<Result<Span<'_>, Fault>, Malformed> {
    let mut span = Span::default();
    let mut fault = None;
    let mut fields = Fields::new(message);
    while let Some((field, raw)) = fields.next_field()? {
        if let Err(found) = span.take(field, raw) {
            fault.get_or_insert(found);
        }
    }
    Ok(fault.map_or(Ok(span), Err))
}

/// An id of 16 or 8 bytes, or none at all.
pub(super) fn id_bytes<'a>(field: &'static str, bytes: &'a [u8], expected: usize) -> Result<&'a [u8], Fault> {
    match bytes.len() {
        length if length == expected || length == 0 => Ok(bytes),
        length => Err((field, format!("{length} bytes, must be {expected}"))),
    }
}

/// No id, or one of zeros alone.
fn is_absent(id: &[u8]) -> bool {
    id.iter().all(|byte| *byte == 0)
}

/// Writes an id as lower-case hex; an all-zero or absent id is null.
pub(super) fn write_id(row: &mut EventWriter<'_>, column: Column, bytes: &[u8]) {
    if !is_absent(bytes) {
        row.str(column, Hex::of(bytes).as_str());
    }
}

impl<'a> Span<'a> {
    fn take(&mut self, field: u32, raw: Raw<'a>) -> Result<(), Fault> {
        match (field, raw) {
            (1, Raw::Bytes(bytes)) => self.trace_id = id_bytes("trace_id", bytes, 16)?,
            (2, Raw::Bytes(bytes)) => self.span_id = id_bytes("span_id", bytes, 8)?,
            (3, Raw::Bytes(bytes)) => self.trace_state = walk::text("trace_state", bytes)?,
            (4, Raw::Bytes(bytes)) => self.parent_id = id_bytes("parent_span_id", bytes, 8)?,
            (5, Raw::Bytes(bytes)) => self.name = walk::text("name", bytes)?,
            (6, Raw::Varint(number)) => self.kind = number,
            (7, Raw::Fixed64(number)) => self.start_ns = number,
            (8, Raw::Fixed64(number)) => self.end_ns = number,
            (9, Raw::Bytes(bytes)) => self.attributes.add(bytes)?,
            (10, Raw::Varint(number)) => self.dropped_attributes = number,
            (11, Raw::Bytes(bytes)) => self.events.push(Member::event(bytes)?),
            (12, Raw::Varint(number)) => self.dropped_events = number,
            (13, Raw::Bytes(bytes)) => self.links.push(Member::link(bytes)?),
            (14, Raw::Varint(number)) => self.dropped_links = number,
            (15, Raw::Bytes(bytes)) => self.status = Some(Status::of(bytes)?),
            (16, Raw::Fixed32(number)) => self.flags = number,
            _ => {}
        }
        Ok(())
    }

    /// Attributes above the limit, of the span and of its events and links.
    fn all_dropped(&self) -> u64 {
        let members = self.events.iter().chain(&self.links);
        self.attributes.dropped + members.map(|member| member.attributes.dropped).sum::<u64>()
    }

    /// Client and server may share a span id (B3), so kind and start belong to the key.
    fn id(&self, work: &Work<'_>, ordinal: u64) -> Id {
        // Zeros are how some senders say that there is none: two such spans are two.
        if is_absent(self.trace_id) || is_absent(self.span_id) {
            return work.digest.id(ordinal);
        }
        let key: [&[u8]; 5] = [b"span", self.trace_id, self.span_id, &self.start_ns.to_le_bytes(), &self.kind.to_le_bytes()];
        id_in(self.trace_id, &key)
    }

    fn write(&self, id: &Id, time: EventTime, row: &mut EventWriter<'_>) {
        row.str(Column::Id, id.as_str());
        row.str(Column::EventName, self.name);
        write_id(row, Column::TraceId, self.trace_id);
        write_id(row, Column::SpanId, self.span_id);
        write_id(row, Column::ParentId, self.parent_id);
        row.bool(Column::IsRoot, is_absent(self.parent_id));
        time.write(row);
        self.write_times(row);
        self.write_status(row);
        self.attributes.write_columns(of_record, row);
        self.write_target(row);
        self.write_operation(row);
        self.write_exception(row);
        self.attributes.write_payload(Column::Attributes, row);
        row.otlp(Column::Data, |list| self.write_data(time, list));
    }

    /// A clock that ran backwards gives 0, not a negative duration.
    fn write_times(&self, row: &mut EventWriter<'_>) {
        let instant = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        if self.start_ns != 0 {
            row.int(Column::TimestampNs, instant(self.start_ns));
            row.int(Column::StartedAt, instant(self.start_ns) / 1000);
        }
        if self.end_ns != 0 {
            row.int(Column::EndedAt, instant(self.end_ns) / 1000);
        }
        if self.start_ns != 0 && self.end_ns != 0 {
            row.float(Column::DurationMs, self.end_ns.saturating_sub(self.start_ns) as f64 / 1e6);
        }
    }

    /// A double holds a duration of up to 104 days (2^53 ns) exactly.
    fn end_follows_from_duration(&self) -> bool {
        self.start_ns != 0 && self.end_ns.checked_sub(self.start_ns).is_some_and(|took| took < 1 << 53)
    }

    fn write_status(&self, row: &mut EventWriter<'_>) {
        let Some(status) = &self.status else { return };
        row.int(Column::StatusCode, status.code.cast_signed());
        match status.code {
            1 => row.str(Column::Outcome, "success"),
            2 => row.str(Column::Outcome, "error"),
            _ => {}
        }
    }

    /// A producer publishes and a consumer consumes, also where no attribute says so.
    fn write_operation(&self, row: &mut EventWriter<'_>) {
        match self.kind {
            PRODUCER if !self.attributes.fill(Column::MsgOperation) => row.str(Column::MsgOperation, "publish"),
            CONSUMER if !self.attributes.fill(Column::MsgOperation) => row.str(Column::MsgOperation, "consume"),
            _ => {}
        }
    }

    /// `http.target` is path and query in one; the newer attributes win.
    fn write_target(&self, row: &mut EventWriter<'_>) {
        let Some(target) = self.attributes.text("http.target") else { return };
        let at = target.find('?').unwrap_or(target.len());
        if !self.attributes.fill(Column::HttpPath) {
            row.str(Column::HttpPath, &target[..at]);
        }
        if !self.attributes.fill(Column::HttpQuery) && at < target.len() {
            row.str(Column::HttpQuery, &target[at..]);
        }
    }

    /// What went wrong: the span's own attributes, else its first `exception` event, else the status.
    fn write_exception(&self, row: &mut EventWriter<'_>) {
        let event = self.events.iter().find(|event| event.name == "exception");
        let of_event = |key: &str| event.and_then(|event| event.attributes.text(key));
        let own = |key: &str| self.attributes.text(key);
        for (column, key) in [(Column::ErrorType, "exception.type"), (Column::ErrorStack, "exception.stacktrace")] {
            of_event(key).filter(|_| !self.attributes.fill(column)).into_iter().for_each(|text| row.str(column, text));
        }
        let status = self.status.as_ref().filter(|status| status.code == 2 && !status.message.is_empty());
        let message = own("exception.message").or_else(|| of_event("exception.message")).or(status.map(|status| status.message));
        message.into_iter().for_each(|text| row.str(Column::ErrorMessage, text));
    }

    /// Everything that has no column: with the columns and `context`, the span can be written again.
    fn write_data(&self, time: EventTime, list: &mut KeyValueWriter<'_>) {
        list.int("kind", self.kind.cast_signed());
        count(list, "flags", self.flags.into());
        if !self.trace_state.is_empty() {
            list.str("trace_state", self.trace_state);
        }
        if let Some(status) = self.status.as_ref().filter(|status| !status.message.is_empty()) {
            list.str("status_message", status.message);
        }
        if !self.events.is_empty() {
            list.objects("events", &self.events, |inner, event| event.write(inner));
        }
        if !self.links.is_empty() {
            list.objects("links", &self.links, |inner, link| link.write(inner));
        }
        count(list, "dropped_attributes_count", self.dropped_attributes);
        count(list, "dropped_events_count", self.dropped_events);
        count(list, "dropped_links_count", self.dropped_links);
        time.write_original(list);
        if !self.end_follows_from_duration() {
            count(list, "end_time_unix_nano", self.end_ns);
        }
    }
}

impl<'a> Status<'a> {
    fn of(message: &'a [u8]) -> Result<Self, Fault> {
        let mut status = Self::default();
        let mut fields = Fields::new(message);
        while let Some((field, raw)) = fields.next_field().map_err(|error| ("status", error.to_string()))? {
            match (field, raw) {
                (2, Raw::Bytes(bytes)) => status.message = walk::text("status.message", bytes)?,
                (3, Raw::Varint(code)) => status.code = code,
                _ => {}
            }
        }
        Ok(status)
    }
}

impl<'a> Member<'a> {
    fn event(message: &'a [u8]) -> Result<Self, Fault> {
        let mut event = Self::default();
        let mut fields = Fields::new(message);
        while let Some((field, raw)) = fields.next_field().map_err(|error| ("events", error.to_string()))? {
            match (field, raw) {
                (1, Raw::Fixed64(ns)) => event.time_ns = ns,
                (2, Raw::Bytes(bytes)) => event.name = walk::text("events.name", bytes)?,
                (3, Raw::Bytes(bytes)) => event.attributes.add(bytes)?,
                (4, Raw::Varint(number)) => event.dropped = number,
                _ => {}
            }
        }
        Ok(event)
    }

    fn link(message: &'a [u8]) -> Result<Self, Fault> {
        let mut link = Self::default();
        let mut fields = Fields::new(message);
        while let Some((field, raw)) = fields.next_field().map_err(|error| ("links", error.to_string()))? {
            match (field, raw) {
                (1, Raw::Bytes(bytes)) => link.trace_id = id_bytes("links.trace_id", bytes, 16)?,
                (2, Raw::Bytes(bytes)) => link.span_id = id_bytes("links.span_id", bytes, 8)?,
                (3, Raw::Bytes(bytes)) => link.trace_state = walk::text("links.trace_state", bytes)?,
                (4, Raw::Bytes(bytes)) => link.attributes.add(bytes)?,
                (5, Raw::Varint(number)) => link.dropped = number,
                (6, Raw::Fixed32(number)) => link.flags = number,
                _ => {}
            }
        }
        Ok(link)
    }

    fn write(&self, list: &mut KeyValueWriter<'_>) {
        count(list, "time_unix_nano", self.time_ns);
        for (key, text) in [("name", self.name), ("trace_state", self.trace_state)] {
            if !text.is_empty() {
                list.str(key, text);
            }
        }
        for (key, id) in [("trace_id", self.trace_id), ("span_id", self.span_id)] {
            if !id.is_empty() {
                list.str(key, Hex::of(id).as_str());
            }
        }
        if !self.attributes.is_empty() {
            list.object("attributes", |inner| copy(&self.attributes, inner));
        }
        count(list, "dropped_attributes_count", self.dropped);
        count(list, "flags", self.flags.into());
    }
}
