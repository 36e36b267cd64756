//! Native events in JSON: columns by their names. What has no column goes to `attributes`.
//!
//! What storage and the door fill in (`ns`, `_shard`, `_seq`, `hour`, `day`, `ingested_at`, `batch_id`, `event_source`,
//! `visibility`, `schema_version`) is never taken from a sender.

use serde_json::value::RawValue;
use watershed_schema::limits::FUTURE_MICROS_MAX;
use watershed_schema::{Column, EventType, Kind, Origin};

use crate::json::{self, Object};
use crate::rows::{Row, Rows};
use crate::{Context, Fault, InvalidRequest, Transformed};

const SOURCE: &str = "native";

/// Columns that are written by name elsewhere.
const WRITTEN: [Column; 6] =
    [Column::Id, Column::EventType, Column::EventName, Column::Timestamp, Column::Ns, Column::Attributes];

/// Events of a request.
///
/// # Errors
/// [`InvalidRequest`] when the request is not JSON or holds more than a batch may.
pub fn transform(request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    let mut rows = Rows::new(SOURCE, request, context);
    let text = json::checked(request)?;
    for raw in json::records(&text)? {
        rows.record(raw, add);
    }
    rows.finish()
}

/// Adds a native event among those of another source.
pub(crate) fn add(record: &Object<'_>, rows: &mut Rows<'_>) -> Result<(), Fault> {
    let word = record.required("event_type", Object::text)?;
    let kind = EventType::from_word(&word).ok_or_else(|| ("event_type", format!("`{word}` is no event type")))?;
    rows.add_from(SOURCE, kind, |row| event(record, row))
}

fn event(record: &Object<'_>, row: &mut Row<'_, '_>) -> Result<(), Fault> {
    // Each column is looked up by its name: among a million members that have none this would take long.
    let columns = record.only(|name| Column::from_name(name).is_some());
    let name = columns.required("event_name", Object::text)?;
    match columns.word("id")?.filter(|id| !id.is_empty()) {
        Some(id) => row.id(&id),
        None => row.id_of_place(),
    }
    row.name(&name);
    row.time(time(&columns, row.context())?)?;
    for column in Column::ALL.iter().filter(|column| column.spec().origin == Origin::Event && !WRITTEN.contains(column)) {
        if columns.has(column.name()) {
            write(&columns, *column, row)?;
        }
    }
    let sent = columns.object("attributes")?.unwrap_or_default();
    row.composed(Column::Attributes, attributes(&sent, record));
    Ok(())
}

/// A native sender can be told that its clock is wrong.
fn time(record: &Object<'_>, context: &Context) -> Result<Option<i64>, Fault> {
    let at = record.time("timestamp")?;
    match at.filter(|at| *at > context.received_at_us.saturating_add(FUTURE_MICROS_MAX)) {
        Some(at) => Err(("timestamp", format!("{} is more than 24 h ahead", json::iso(at)))),
        None => Ok(at),
    }
}

fn write(record: &Object<'_>, column: Column, row: &mut Row<'_, '_>) -> Result<(), Fault> {
    let name = column.name();
    match column.kind() {
        Kind::Text => row.text(column, record.text(name)?),
        Kind::Int | Kind::Int32 => row.int(column, record.int(name)?),
        Kind::Time => row.int(column, record.time(name)?),
        Kind::Float => row.float(column, record.float(name)?),
        Kind::Bool => row.bool(column, record.bool(name)?),
        Kind::Bytes => record.raw(name).into_iter().for_each(|raw| row.bytes(column, raw.get().as_bytes())),
        Kind::Json => row.json(column, record.raw(name)),
        Kind::Payload if column == Column::Data => row.data(record.raw(name).map(|data| data.get().to_owned())),
        Kind::Payload => row.json(column, record.raw(name)),
    }
    Ok(())
}

/// Those that were sent under this name, and every member without a column.
fn attributes(sent: &Object<'_>, record: &Object<'_>) -> Option<String> {
    let mut all = sent.rest(&[]);
    for (name, value) in record.members().filter(|(name, _)| Column::from_name(name).is_none()) {
        all.raw(name, RawValue::get(value));
    }
    all.finish()
}
