//! A batch under redaction, column by column, through the builder: header and filter fit what is left.

use std::collections::HashMap;

use watershed_schema::wire::{Fields, Malformed, Raw};
use watershed_schema::{BatchBuilder, BatchError, Column, EventBatch, EventWriter, Kind, Origin, Projection, Row, Value};

use super::otlp;
use super::text::Pass;

type Columns<'a> = Vec<(Column, Value<'a>)>;

/// For each row, whether the rules could be about something in it.
pub(super) fn suspects(pass: &Pass<'_>, batch: &EventBatch) -> Result<Vec<bool>, Malformed> {
    let all = Projection::new(Column::ALL);
    let mut known = HashMap::new();
    let mut is_suspect = |Row { shared, own }: Row<'_>| {
        let Some(part) = shared else { return is_part_suspect(pass, own, &all) };
        let shared = match known.get(&part.as_ptr()) {
            Some(suspect) => *suspect,
            None => is_part_suspect(pass, part, &all)?,
        };
        known.insert(part.as_ptr(), shared);
        Ok(shared || is_part_suspect(pass, own, &all)?)
    };
    batch.rows().map(&mut is_suspect).collect()
}

/// Most parts need one look at their bytes; ids are full of digits, so that a second one may follow.
fn is_part_suspect(pass: &Pass<'_>, part: &[u8], all: &Projection) -> Result<bool, Malformed> {
    if pass.rules.names.no_column() && !pass.suspects(part) {
        return Ok(false);
    }
    Ok(columns(part, all)?.iter().any(|(column, value)| is_column_suspect(pass, *column, value)))
}

fn is_column_suspect(pass: &Pass<'_>, column: Column, value: &Value<'_>) -> bool {
    let bytes = match value {
        Value::Text(text) => text.as_bytes(),
        Value::Bytes(bytes) | Value::Payload(bytes) => bytes,
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => b"",
    };
    pass.rules.names.drops_column(column) || (!is_reference(column) && pass.suspects(bytes))
}

/// Ids by which events are found and tied to each other, and what storage computes: no pattern changes them.
fn is_reference(column: Column) -> bool {
    use Column::{EventType, Id, Ns, ParentId, RootId, SessionId, SpanId, TraceId};
    let ids = [Id, EventType, Ns, TraceId, SpanId, ParentId, RootId, SessionId];
    ids.contains(&column) || column.spec().origin == Origin::System
}

/// The batch written anew. Rows that are not suspect are copied.
pub(super) fn rebuilt(pass: &Pass<'_>, batch: &EventBatch, suspects: &[bool]) -> Result<EventBatch, BatchError> {
    let all = Projection::new(Column::ALL);
    let mut builder = BatchBuilder::new(batch.tenant().clone(), batch.body().len());
    let mut known = HashMap::new();
    for (Row { shared, own }, suspect) in batch.rows().zip(suspects) {
        let mut place = None;
        if let Some(part) = shared {
            let columns = columns(part, &all)?;
            let redacted = known.entry(part.as_ptr()).or_insert_with(|| builder.shared(|row| redact(pass, &columns, row)));
            place = Some(*redacted);
        }
        let columns = columns(own, &all)?;
        builder.row(place, |row| if *suspect { redact(pass, &columns, row) } else { copy(&columns, row) });
    }
    builder.finish()
}

fn columns<'a>(part: &'a [u8], all: &Projection) -> Result<Columns<'a>, Malformed> {
    let mut columns = Vec::new();
    Row { shared: None, own: part }.visit(all, |place, value| columns.push((Column::ALL[place], value)))?;
    Ok(columns)
}

fn copy(columns: &Columns<'_>, row: &mut EventWriter<'_>) {
    columns.iter().for_each(|(column, value)| copy_column(*column, *value, row));
}

fn copy_column(column: Column, value: Value<'_>, row: &mut EventWriter<'_>) {
    match value {
        Value::Int(number) => row.int(column, number),
        Value::Float(number) => row.float(column, number),
        Value::Bool(truth) => row.bool(column, truth),
        Value::Text(text) => row.str(column, text),
        Value::Bytes(bytes) => row.bytes(column, bytes),
        Value::Payload(payload) => row.payload(column, payload),
    }
}

fn redact(pass: &Pass<'_>, columns: &Columns<'_>, row: &mut EventWriter<'_>) {
    for (column, value) in columns {
        if !is_column_suspect(pass, *column, value) {
            copy_column(*column, *value, row);
        } else if pass.rules.names.drops_column(*column) || redact_column(pass, *column, *value, row).is_none() {
            pass.change();
        }
    }
}

/// `None`: the column disappears, because what it holds cannot be read and may be what must not stay.
fn redact_column(pass: &Pass<'_>, column: Column, value: Value<'_>, row: &mut EventWriter<'_>) -> Option<()> {
    match value {
        Value::Text(text) if column.kind() == Kind::Json => row.str(column, &pass.json(text)?),
        Value::Text(text) => row.str(column, &pass.text(text, 0)),
        Value::Bytes(bytes) => row.bytes(column, &pass.bytes(bytes)?),
        Value::Payload(payload) => redact_payload(pass, column, payload, row)?,
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => copy_column(column, value, row),
    }
    Some(())
}

fn redact_payload(pass: &Pass<'_>, column: Column, payload: &[u8], row: &mut EventWriter<'_>) -> Option<()> {
    match Fields::new(payload).next_field().ok()?? {
        (1, Raw::Bytes(text)) => row.json(column, &pass.json(std::str::from_utf8(text).ok()?)?),
        (2, Raw::Bytes(list)) => {
            let members = otlp::members(pass, list).ok()?;
            row.otlp(column, |writer| members.iter().for_each(|member| writer.raw(member)));
        }
        _ => return None,
    }
    Some(())
}
