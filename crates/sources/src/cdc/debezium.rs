//! Debezium's envelope: <https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-events>.
//!
//! With or without the `schema`/`payload` wrapper. The key travels beside the value: `{"key": …, "value": …}` keeps both;
//! for a value alone the row's own `id`, if it has one, is taken for its key.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::position::Position;
use super::{Change, Operation, key};
use crate::Fault;
use crate::json::{Loose as _, Object};
use crate::system::storable;
use crate::trace_context::TraceParent;

/// What goes to columns.
const OWN: [&str; 3] = ["before", "after", "op"];

pub(super) fn change<'a>(record: &Object<'a>) -> Result<Option<Change<'a>>, Fault> {
    let Some(value) = value(record)? else { return Ok(None) };
    let Some(envelope) = unwrapped(&value)? else { return Ok(None) };
    let Some(op) = envelope.text("op")? else {
        if is_mark(&envelope) {
            return Ok(None);
        }
        return Err(("op", "is missing, and so are `operation` and `action`".to_owned()));
    };
    let Some(operation) = operation(&op)? else { return Ok(None) };
    let source = envelope.object("source")?.unwrap_or_default();
    let whole = |name| envelope.raw(name).map(|raw: &RawValue| Cow::Borrowed(raw.get()));
    Ok(Some(Change {
        operation,
        system: source.text("connector")?.unwrap_or(Cow::Borrowed("unknown")),
        server: server(&source)?,
        database: source.text("schema")?.or(source.text("db")?),
        table: source.required("table", Object::text)?,
        key: key(record, &envelope)?,
        is_key_told: record.has("key"),
        ordinal: envelope.object("transaction")?.unwrap_or_default().int("total_order")?,
        before: whole("before"),
        after: whole("after"),
        position: position(&source)?,
        transaction: transaction(&envelope, &source)?,
        version: None,
        at: time(&source)?.or(time(&envelope)?),
        trace: trace(&envelope),
        session: None,
        context: envelope.rest(&OWN).finish(),
    }))
}

/// What stands beside the key, or all of it; none is a tombstone.
fn value<'a>(record: &Object<'a>) -> Result<Option<Object<'a>>, Fault> {
    let is_beside_key = record.members().any(|(name, _)| name == "value");
    if is_beside_key { record.object("value") } else { Ok(Some(record.clone())) }
}

/// The payload of a wrapper that tells its schema; none is a tombstone.
fn unwrapped<'a>(value: &Object<'a>) -> Result<Option<Object<'a>>, Fault> {
    let is_wrapped = value.members().any(|(name, _)| name == "payload") && !value.has("op");
    if is_wrapped { value.object("payload") } else { Ok(Some(value.clone())) }
}

/// What a connector may send between changes, on topics of their own: heartbeats, the begin and end of a transaction
/// (`provide.transaction.metadata`), statements that change a schema.
fn is_mark(envelope: &Object<'_>) -> bool {
    let mut names = envelope.members().map(|(name, _)| name).peekable();
    let is_heartbeat = names.peek().is_some() && names.all(|name| name.starts_with("ts_"));
    let status = envelope.text("status").or_absent();
    let is_boundary = matches!(status.as_deref(), Some("BEGIN" | "END")) && envelope.has("id");
    is_heartbeat || is_boundary || envelope.has("tableChanges")
}

/// A message (`pg_logical_emit_message`) changes no row.
fn operation(op: &str) -> Result<Option<Operation>, Fault> {
    Ok(Some(match op {
        "c" => Operation::Insert,
        "u" => Operation::Update,
        "d" => Operation::Delete,
        "r" => Operation::Read,
        "t" => Operation::Truncate,
        "m" => return Ok(None),
        _ => return Err(("op", format!("`{op}` is none of c, u, d, r, t, m"))),
    }))
}

/// The connector's name and the database, as far as they are told.
fn server(source: &Object<'_>) -> Result<String, Fault> {
    let (name, database) = (source.text("name")?.unwrap_or_default(), source.text("db")?.unwrap_or_default());
    Ok(format!("{name}/{database}"))
}

fn key(record: &Object<'_>, envelope: &Object<'_>) -> Result<Option<String>, Fault> {
    if let Some(told) = record.raw("key") {
        let wrapped = Object::of(told).filter(|key| key.has("payload")).and_then(|key| key.raw("payload"));
        return Ok(key::of_raw(wrapped.unwrap_or(told)));
    }
    let row = envelope.object("after").or_absent().or_else(|| envelope.object("before").or_absent());
    Ok(row.and_then(|row| row.raw("id")).and_then(key::of_raw))
}

/// PostgreSQL: `lsn`. MySQL: `file`, `pos`, and `row` within the event. A snapshot's rows share a place, not their keys.
fn position(source: &Object<'_>) -> Result<Option<Position>, Fault> {
    if let Some(lsn) = source.int("lsn")? {
        let number = u64::try_from(lsn).map_err(|_negative| ("lsn", format!("{lsn} is negative")))?;
        return Ok(Some(Position::postgres(number)));
    }
    let place = source.int("pos")?.and_then(|place| u64::try_from(place).ok());
    let row = source.word("row")?.unwrap_or_default().into_owned();
    Ok(source.text("file")?.zip(place).map(|(file, place)| Position::binlog(&file, place).within(row)))
}

/// The database's own id first: PostgreSQL's connector appends a position to it, another for each row of one transaction.
fn transaction<'a>(envelope: &Object<'a>, source: &Object<'a>) -> Result<Option<Cow<'a, str>>, Fault> {
    let told = envelope.object("transaction")?.unwrap_or_default().word("id")?;
    Ok(source.word("txId")?.or(told).or(source.text("gtid")?))
}

/// The finest of three units; those of `source` are the database's own.
fn time(object: &Object<'_>) -> Result<Option<i64>, Fault> {
    if let Some(ns) = object.int("ts_ns")? {
        return Ok(Some(ns.div_euclid(1000)));
    }
    if let Some(us) = object.int("ts_us")? {
        return storable("ts_us", us).map(Some);
    }
    object.int("ts_ms")?.map(|ms| storable("ts_ms", ms.saturating_mul(1000))).transpose()
}

/// What Debezium's tracing transformation reads: a properties text in a column of the row.
/// <https://debezium.io/documentation/reference/stable/integrations/tracing.html>
fn trace<'a>(envelope: &Object<'a>) -> TraceParent<'a> {
    let row = envelope.object("after").or_absent().unwrap_or_default();
    let text = row.text("tracingspancontext").or_absent().unwrap_or_default();
    let header = text.lines().find_map(|line| line.trim().strip_prefix("traceparent="));
    header.map_or_else(|| TraceParent::of(envelope), TraceParent::of_header)
}
