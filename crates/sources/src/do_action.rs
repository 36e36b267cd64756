//! Actions: a command that ran to its end. One that has not ended yet is a reject: it will be sent again.

use watershed_schema::{Column, EventType};

use crate::json::{self, Loose as _, Object, missing};
use crate::rows::Row;
use crate::trace_context::TraceParent;
use crate::{Context, Fault, InvalidRequest, Transformed};

const SOURCE: &str = "do_action";

/// What goes to columns.
const OWN: [&str; 18] = [
    "id",
    "verb",
    "status",
    "sessionId",
    "workflowId",
    "requestId",
    "actor",
    "target",
    "startedAt",
    "completedAt",
    "durationMs",
    "error",
    "durability",
    "inputVersion",
    "traceparent",
    "traceId",
    "parentId",
    "actorType",
];

/// Events of a request.
///
/// # Errors
/// [`InvalidRequest`] when the request is not JSON or holds more than a batch may.
pub fn transform(request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    json::transform(SOURCE, EventType::Trace, request, context, action)
}

fn action(record: &Object<'_>, row: &mut Row<'_, '_>) -> Result<(), Fault> {
    let id = record.word("id")?.filter(|id| !id.is_empty()).ok_or_else(|| missing("id"))?;
    let verb = record.required("verb", Object::text)?;
    let outcome = outcome(&record.required("status", Object::text)?)?;
    let (started, completed) = (record.time("startedAt")?, record.time("completedAt")?);
    row.id(&id);
    row.name(&format!("action.{verb}"));
    row.time(started.or(completed))?;
    row.text(Column::SpanId, Some(id));
    TraceParent::of(record).write(row);
    row.text(Column::SessionId, record.word("sessionId")?);
    row.text(Column::WorkflowId, record.word("workflowId")?);
    row.text(Column::CorrelationId, record.word("requestId")?);
    row.text(Column::ActorId, record.word("actor")?);
    row.text(Column::ActorType, record.text("actorType")?);
    let target = record.text("target")?;
    row.text(Column::ResourceType, target.as_deref().map(|target| target.split('/').next().unwrap_or(target)));
    row.text(Column::ResourceId, target.as_deref().map(|target| row.qualified(target)));
    row.int(Column::StartedAt, started);
    row.int(Column::EndedAt, completed);
    row.float(Column::DurationMs, took(started, completed).or(record.float("durationMs")?));
    row.text(Column::Outcome, Some(outcome));
    row.text(Column::ErrorMessage, error(record));
    row.text(Column::ActionVerb, Some(verb));
    row.text(Column::ActionDurability, durability(record)?);
    row.text(Column::ActionTarget, target);
    row.int(Column::ActionInputVersion, record.int("inputVersion")?);
    row.data(record.rest(&OWN).finish());
    Ok(())
}

fn outcome(status: &str) -> Result<&'static str, Fault> {
    match status {
        "completed" => Ok("success"),
        "failed" => Ok("error"),
        "pending" | "in_progress" => Err(("status", format!("`{status}` is not an end: send the action when it has one"))),
        other => Err(("status", format!("`{other}` is neither completed nor failed"))),
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact for 285 years of microseconds")]
fn took(started: Option<i64>, completed: Option<i64>) -> Option<f64> {
    Some(completed?.saturating_sub(started?).max(0) as f64 / 1e3)
}

/// A text as it is, anything else as its JSON.
fn error(record: &Object<'_>) -> Option<String> {
    let raw = record.raw("error")?;
    Some(record.text("error").or_absent().map_or_else(|| raw.get().to_owned(), Into::into))
}

fn durability<'a>(record: &Object<'a>) -> Result<Option<std::borrow::Cow<'a, str>>, Fault> {
    let word = record.text("durability")?;
    match word.as_deref() {
        None | Some("send" | "try" | "do") => Ok(word),
        Some(other) => Err(("durability", format!("`{other}` is none of send, try, do"))),
    }
}
