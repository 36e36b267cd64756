//! A batch under redaction, column by column, through the builder: header and filter fit what is left.

use std::collections::HashMap;

use watershed_schema::wire::{Fields, Malformed, Raw};
use watershed_schema::{BatchBuilder, BatchError, Column, EventBatch, EventWriter, Kind, Origin, Projection, Row, Value};

use super::otlp;
use super::text::Pass;

pub(super) fn rebuilt(pass: &Pass<'_>, batch: &EventBatch) -> Result<EventBatch, BatchError> {
    let all = Projection::new(Column::ALL);
    let mut builder = BatchBuilder::new(batch.tenant().clone(), batch.body().len());
    let mut known = HashMap::new();
    for Row { shared, own } in batch.rows() {
        let shared = match shared {
            None => None,
            Some(part) => Some(match known.get(&part.as_ptr()) {
                Some(shared) => *shared,
                None => {
                    let columns = columns(part, &all)?;
                    let shared = builder.shared(|row| write(pass, &columns, row));
                    known.insert(part.as_ptr(), shared);
                    shared
                }
            }),
        };
        let columns = columns(own, &all)?;
        builder.row(shared, |row| write(pass, &columns, row));
    }
    builder.finish()
}

fn columns<'a>(part: &'a [u8], all: &Projection) -> Result<Vec<(Column, Value<'a>)>, Malformed> {
    let mut columns = Vec::new();
    Row { shared: None, own: part }.visit(all, |place, value| columns.push((Column::ALL[place], value)))?;
    Ok(columns)
}

fn write(pass: &Pass<'_>, columns: &[(Column, Value<'_>)], row: &mut EventWriter<'_>) {
    for (column, value) in columns {
        if pass.rules.names.drops_column(*column) || write_column(pass, *column, *value, row).is_none() {
            pass.change();
        }
    }
}

/// `None`: the column disappears, because what it holds cannot be read and may be what must not stay.
fn write_column(pass: &Pass<'_>, column: Column, value: Value<'_>, row: &mut EventWriter<'_>) -> Option<()> {
    match value {
        Value::Int(number) => row.int(column, number),
        Value::Float(number) => row.float(column, number),
        Value::Bool(truth) => row.bool(column, truth),
        Value::Text(text) if is_reference(column) => row.str(column, text),
        Value::Text(text) if column.kind() == Kind::Json => row.str(column, &pass.json(text)?),
        Value::Text(text) => row.str(column, &pass.text(text, 0)),
        Value::Bytes(bytes) => row.bytes(column, &pass.bytes(bytes)?),
        Value::Payload(payload) => write_payload(pass, column, payload, row)?,
    }
    Some(())
}

/// Ids by which events are found and tied to each other, and what storage computes: no pattern changes them.
fn is_reference(column: Column) -> bool {
    use Column::{EventType, Id, Ns, ParentId, RootId, SessionId, SpanId, TraceId};
    let ids = [Id, EventType, Ns, TraceId, SpanId, ParentId, RootId, SessionId];
    ids.contains(&column) || column.spec().origin == Origin::System
}

fn write_payload(pass: &Pass<'_>, column: Column, payload: &[u8], row: &mut EventWriter<'_>) -> Option<()> {
    let form = Fields::new(payload).next_field().ok()?;
    match form {
        Some((1, Raw::Bytes(text))) => row.json(column, &pass.json(std::str::from_utf8(text).ok()?)?),
        Some((2, Raw::Bytes(list))) => {
            let members = otlp::members(pass, list).ok()?;
            row.otlp(column, |writer| members.iter().for_each(|member| writer.raw(member)));
        }
        _ => row.json(column, ""),
    }
    Some(())
}
