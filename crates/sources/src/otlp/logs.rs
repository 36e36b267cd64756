//! Log records.

use watershed_schema::wire::{Fields, Malformed, Raw};
use watershed_schema::{Column, EventWriter, Shared, payload};

use super::attributes::{Attributes, of_record};
use super::resource::count;
use super::traces::{id_bytes, write_id};
use super::walk::{self, AnyValue};
use super::{Fault, Work};
use crate::system::EventTime;

#[derive(Default)]
struct Record<'a> {
    time_ns: u64,
    observed_ns: u64,
    severity: u64,
    severity_text: &'a str,
    body: Option<(&'a [u8], AnyValue<'a>)>,
    attributes: Attributes<'a>,
    dropped: u64,
    flags: u32,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    event_name: &'a str,
}

/// Writes one `LogRecord` as an event, or says why not.
pub(super) fn record(message: &[u8], shared: Shared, work: &mut Work<'_>) -> Result<(), Malformed> {
    let index = work.next_ordinal();
    let mut record = Record::default();
    let mut fault = None;
    let mut fields = Fields::new(message);
    while let Some((field, raw)) = fields.next_field()? {
        if let Err(found) = record.take(field, raw) {
            fault.get_or_insert(found);
        }
    }
    if let Some(fault) = fault {
        work.reject(index, fault);
        return Ok(());
    }
    work.dropped_attributes += record.attributes.dropped;
    let id = work.digest.id(index);
    let time = EventTime::of(record.moment_ns(), work.context);
    work.builder.row(Some(shared), |row| {
        row.str(Column::Id, id.as_str());
        record.write(time, row);
    });
    Ok(())
}

impl<'a> Record<'a> {
    fn take(&mut self, field: u32, raw: Raw<'a>) -> Result<(), Fault> {
        match (field, raw) {
            (1, Raw::Fixed64(ns)) => self.time_ns = ns,
            (2, Raw::Varint(number)) => self.severity = number,
            (3, Raw::Bytes(bytes)) => self.severity_text = walk::text("severity_text", bytes)?,
            (5, Raw::Bytes(bytes)) => self.body = Some((bytes, walk::any_value(bytes, 1)?)),
            (6, Raw::Bytes(bytes)) => self.attributes.add(bytes)?,
            (7, Raw::Varint(number)) => self.dropped = number,
            (8, Raw::Fixed32(number)) => self.flags = number,
            (9, Raw::Bytes(bytes)) => self.trace_id = id_bytes("trace_id", bytes, 16)?,
            (10, Raw::Bytes(bytes)) => self.span_id = id_bytes("span_id", bytes, 8)?,
            (11, Raw::Fixed64(ns)) => self.observed_ns = ns,
            (12, Raw::Bytes(bytes)) => self.event_name = walk::text("event_name", bytes)?,
            _ => {}
        }
        Ok(())
    }

    fn moment_ns(&self) -> u64 {
        if self.time_ns == 0 { self.observed_ns } else { self.time_ns }
    }

    fn name(&self) -> &'a str {
        if self.event_name.is_empty() { self.attributes.text("event.name").unwrap_or("otel.log") } else { self.event_name }
    }

    fn write(&self, time: EventTime, row: &mut EventWriter<'_>) {
        row.str(Column::EventName, self.name());
        write_id(row, Column::TraceId, self.trace_id);
        write_id(row, Column::SpanId, self.span_id);
        time.write(row);
        if self.moment_ns() != 0 {
            row.int(Column::TimestampNs, i64::try_from(self.moment_ns()).unwrap_or(i64::MAX));
        }
        self.write_level(row);
        self.attributes.write_columns(of_record, row);
        self.attributes.text("exception.message").into_iter().for_each(|text| row.str(Column::ErrorMessage, text));
        self.attributes.write_payload(Column::Attributes, row);
        self.write_body(row);
        self.write_data(time, row);
    }

    fn write_level(&self, row: &mut EventWriter<'_>) {
        if self.severity != 0 {
            row.int(Column::LogLevelNum, self.severity.cast_signed());
        }
        match (self.severity_text, self.severity) {
            ("", 0) => {}
            ("", number) => row.str(Column::LogLevel, level_of(number.cast_signed())),
            (text, _) => row.str(Column::LogLevel, &text.to_lowercase()),
        }
    }

    /// Text as it is, any other body as its JSON text.
    fn write_body(&self, row: &mut EventWriter<'_>) {
        match self.body {
            Some((_, AnyValue::Text(text))) => row.str(Column::LogMessage, text),
            None | Some((_, AnyValue::Empty)) => {}
            Some((raw, _)) => {
                let mut json = String::new();
                payload::any_value_to_json(raw, &mut json).expect("invariant: the body was checked when it was parsed");
                row.str(Column::LogMessage, &json);
            }
        }
    }

    fn write_data(&self, time: EventTime, row: &mut EventWriter<'_>) {
        row.otlp(Column::Data, |list| {
            if let Some((raw, value)) = self.body
                && !matches!(value, AnyValue::Text(_))
            {
                list.any("body", raw);
            }
            if !self.severity_text.is_empty() {
                list.str("severity_text", self.severity_text);
            }
            if !self.event_name.is_empty() {
                list.str("event_name", self.event_name);
            }
            count(list, "time_unix_nano", self.time_ns);
            count(list, "observed_time_unix_nano", self.observed_ns);
            count(list, "flags", self.flags.into());
            count(list, "dropped_attributes_count", self.dropped);
            time.write_original(list);
        });
    }
}

/// Word of an OpenTelemetry severity number (logs data model, "Displaying Severity"); what is below all of them is the least.
fn level_of(number: i64) -> &'static str {
    match number {
        21.. => "fatal",
        17.. => "error",
        13.. => "warn",
        9.. => "info",
        5.. => "debug",
        _ => "trace",
    }
}
