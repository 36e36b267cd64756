//! Domain events: something happened to something, by somebody. EPCIS fields: <https://ref.gs1.org/standards/epcis/>.
//!
//! `POST /v1/events` takes native events in JSON, too: a record with `event_type` is one, a record with `verb` is a domain
//! event.

use watershed_schema::{Column, EventType};

use crate::json::{self, Object};
use crate::native_json;
use crate::rows::{Row, Rows};
use crate::trace_context::TraceParent;
use crate::{Context, Fault, InvalidRequest, Transformed};

const SOURCE: &str = "do_event";

/// What goes to columns.
const OWN: [&str; 19] = [
    "id",
    "verb",
    "actionId",
    "actor",
    "actorType",
    "source",
    "sourceType",
    "timestamp",
    "createdAt",
    "data",
    "bizStep",
    "disposition",
    "bizTransaction",
    "bizLocation",
    "readPoint",
    "sessionId",
    "traceparent",
    "traceId",
    "parentId",
];

/// Events of a request.
///
/// # Errors
/// [`InvalidRequest`] when the request is not JSON or holds more than a batch may.
pub fn transform(request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    let mut rows = Rows::new(SOURCE, request, context);
    let text = json::checked(request)?;
    for raw in json::records(&text)? {
        rows.record(raw, |record, rows| match (record.has("verb"), record.has("event_type")) {
            (true, false) => rows.add(EventType::Track, |row| event(record, row)),
            (false, true) => native_json::add(record, rows),
            (true, true) => Err(("verb", "stands beside `event_type`: is it a domain event or a native one?".to_owned())),
            (false, false) => Err(("verb", "is missing, and so is `event_type`, which makes a native event".to_owned())),
        });
    }
    rows.finish()
}

fn event(record: &Object<'_>, row: &mut Row<'_, '_>) -> Result<(), Fault> {
    let verb = record.required("verb", Object::text)?;
    // An empty id is none: all events with it would be one.
    let told = |name| Ok(record.word(name)?.filter(|id| !id.is_empty()));
    let (id, action) = (told("id")?, told("actionId")?);
    match &id {
        Some(id) => row.id_of(action.as_deref().unwrap_or(id), &[SOURCE, id]),
        None => row.id_of_place(),
    }
    row.name(&verb);
    row.time(record.time("timestamp")?.or(record.time("createdAt")?))?;
    row.text(Column::SpanId, id);
    match action {
        Some(action) => row.text(Column::TraceId, Some(action)),
        None => TraceParent::of(record).write(row),
    }
    row.text(Column::SessionId, record.word("sessionId")?);
    row.text(Column::ActorId, record.word("actor")?);
    row.text(Column::ActorType, record.text("actorType")?);
    row.text(Column::ResourceType, record.text("sourceType")?);
    let resource = record.word("source")?.filter(|source| !source.is_empty());
    row.text(Column::ResourceId, resource.map(|source| row.qualified(&source)));
    row.text(Column::ActionVerb, Some(verb));
    row.text(Column::BizStep, record.text("bizStep")?);
    row.text(Column::BizDisposition, record.text("disposition")?);
    row.text(Column::BizTransaction, record.word("bizTransaction")?);
    row.text(Column::BizLocation, record.word("bizLocation")?);
    row.text(Column::BizReadPoint, record.word("readPoint")?);
    row.data(record.raw("data").map(|data| data.get().to_owned()));
    row.composed(Column::Context, record.rest(&OWN).finish());
    Ok(())
}
