//! Workers Tail: what a Cloudflare tail worker receives, one item for each invocation of another worker.
//!
//! Shapes: <https://developers.cloudflare.com/workers/runtime-apis/handlers/tail/#tailitems>. An item or an array of them.

mod invocation;
mod request;

use serde_json::value::RawValue;
use watershed_schema::limits::MESSAGE_BYTES_MAX;
use watershed_schema::{Column, EventType};

use crate::json::{self, Loose as _, Members, Object};
use crate::rows::Row;
use crate::trace_context::TraceParent;
use crate::{Context, Fault, InvalidRequest, Transformed};
use invocation::Invocation;

const SOURCE: &str = "workers_tail";

/// Largest request, bytes.
pub const REQUEST_BYTES_MAX: usize = MESSAGE_BYTES_MAX;

/// What goes to columns, or to `data` in another form.
const OWN: [&str; 6] = ["outcome", "eventTimestamp", "cpuTime", "wallTime", "scriptName", "event"];

/// Events of a request.
///
/// # Errors
/// [`InvalidRequest`] when the request is not JSON or holds more than a batch may.
pub fn transform(request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    json::transform(SOURCE, EventType::Tail, request, context, item)
}

fn item(item: &Object<'_>, row: &mut Row<'_, '_>) -> Result<(), Fault> {
    let at = item.time("eventTimestamp")?;
    let invocation = Invocation::of(item.object("event")?.unwrap_or_default());
    let script = item.text("scriptName")?;
    // One request may call a script, or a durable object, several times within a millisecond.
    let raw = |name| item.raw(name).map_or("", RawValue::get);
    let key = ["scriptName", "eventTimestamp", "entrypoint", "durableObjectId", "cpuTime", "wallTime"].map(raw);
    match invocation.ray() {
        Some(ray) if item.has("eventTimestamp") => row.id_of(&ray, &[&[SOURCE, &ray, &invocation.url()], &key[..]].concat()),
        _ => row.id_of_place(),
    }
    row.name(&format!("workers.{}", invocation.kind()));
    row.time(at)?;
    let word = item.required("outcome", Object::text)?;
    row.text(Column::Outcome, Some(outcome(&word)));
    TraceParent::of_header(&invocation.header("traceparent").unwrap_or_default()).write(row);
    row.text(Column::ServiceName, script);
    row.text(Column::ServiceVersion, version(item));
    row.text(Column::CloudProvider, Some("cloudflare"));
    row.float(Column::CpuTimeMs, item.float("cpuTime")?);
    row.float(Column::DurationMs, item.float("wallTime")?);
    write_exception(item, row);
    invocation.write(row)?;
    row.data(data(item, &word, &invocation));
    Ok(())
}

/// The reference system's words, and every other outcome in its style.
fn outcome(word: &str) -> &'static str {
    match word {
        "ok" => "success",
        "exception" => "error",
        "exceededCpu" => "exceeded_cpu",
        "exceededMemory" => "exceeded_memory",
        "canceled" => "canceled",
        "scriptNotFound" => "script_not_found",
        "responseStreamDisconnected" => "response_stream_disconnected",
        "loadShed" => "load_shed",
        _ => "unknown",
    }
}

/// A text, or `{"id", "tag", "message"}`.
fn version(item: &Object<'_>) -> Option<String> {
    let text = item.text("scriptVersion").or_absent();
    let id = || item.object("scriptVersion").or_absent()?.text("id").or_absent();
    text.or_else(id).map(Into::into)
}

fn write_exception(item: &Object<'_>, row: &mut Row<'_, '_>) {
    let first = item.list("exceptions").or_absent().and_then(|list| Object::of(list.first()?));
    let first = first.unwrap_or_default();
    row.text(Column::ErrorType, first.text("name").or_absent());
    row.text(Column::ErrorMessage, first.text("message").or_absent());
    row.text(Column::ErrorStack, first.text("stack").or_absent());
}

/// Logs, exceptions and whatever else the item and its event say; what is empty says nothing.
fn data(item: &Object<'_>, word: &str, invocation: &Invocation<'_>) -> Option<String> {
    let mut data = Members::default();
    for (name, value) in item.members().filter(|(name, _)| !OWN.contains(name)) {
        if !matches!(value.get(), "[]" | "{}" | "null" | "\"\"") {
            data.raw(name, value.get());
        }
    }
    // A word of tomorrow must not be lost in `unknown`.
    if outcome(word) == "unknown" {
        data.maybe("outcome", item.raw("outcome").map(RawValue::get));
    }
    invocation.write_data(&mut data);
    data.finish()
}
