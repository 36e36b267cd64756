//! The reference system's own shape.

use std::borrow::Cow;

use super::position::Position;
use super::{Change, Operation, key};
use crate::Fault;
use crate::json::Object;
use crate::trace_context::TraceParent;

/// What goes to columns.
const OWN: [&str; 15] = [
    "operation",
    "table",
    "schema",
    "primaryKey",
    "before",
    "after",
    "transactionId",
    "lsn",
    "version",
    "timestamp",
    "dbSystem",
    "traceparent",
    "traceId",
    "parentId",
    "sessionId",
];

pub(super) fn change<'a>(record: &Object<'a>) -> Result<Change<'a>, Fault> {
    let whole = |name| record.raw(name).map(|raw| Cow::Borrowed(raw.get()));
    Ok(Change {
        operation: operation(&record.required("operation", Object::text)?)?,
        system: record.text("dbSystem")?.unwrap_or(Cow::Borrowed("sqlite")),
        server: String::new(),
        database: record.text("schema")?,
        table: record.required("table", Object::text)?,
        key: record.raw("primaryKey").and_then(key::of_raw),
        is_key_told: record.has("primaryKey"),
        ordinal: None,
        before: whole("before"),
        after: whole("after"),
        position: record.word("lsn")?.map(|lsn| Position::any(&lsn)),
        transaction: record.word("transactionId")?,
        version: record.int("version")?,
        at: record.time("timestamp")?,
        trace: TraceParent::of(record),
        session: record.word("sessionId")?,
        context: record.rest(&OWN).finish(),
    })
}

fn operation(word: &str) -> Result<Operation, Fault> {
    Ok(match word.to_ascii_uppercase().as_str() {
        "INSERT" => Operation::Insert,
        "UPDATE" => Operation::Update,
        "DELETE" => Operation::Delete,
        "READ" => Operation::Read,
        "TRUNCATE" => Operation::Truncate,
        _ => return Err(("operation", format!("`{word}` is none of INSERT, UPDATE, DELETE, READ, TRUNCATE"))),
    })
}
