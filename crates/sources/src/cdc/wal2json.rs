//! wal2json, format 2: one object for each change, <https://github.com/eulerto/wal2json#parameters>.
//!
//! `include-lsn`, `include-xids`, `include-timestamp` and `include-pk` should be on: the first makes a change recognised
//! when it is delivered again, the last names its key. What `watershed-pump` adds: `cluster` and `database`, which tell
//! equal LSNs of two servers apart, and `ordinal` for rows at one LSN (`COPY`), from 1.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

use super::position::Position;
use super::{Change, Operation, key};
use crate::Fault;
use crate::json::{Members, Object};
use crate::trace_context::TraceParent;

/// What goes to columns. The types of `columns` stay in `context`.
const OWN: [&str; 8] = ["action", "xid", "timestamp", "lsn", "schema", "table", "columns", "identity"];

pub(super) fn change<'a>(record: &Object<'a>) -> Result<Option<Change<'a>>, Fault> {
    let Some(operation) = operation(&record.required("action", Object::text)?)? else { return Ok(None) };
    let (columns, identity) = (columns(record, "columns")?, columns(record, "identity")?);
    let key = key(record, &columns, &identity)?;
    Ok(Some(Change {
        operation,
        system: Cow::Borrowed("postgresql"),
        server: server(record)?,
        database: record.text("schema")?,
        table: record.required("table", Object::text)?,
        is_key_told: key.is_some(),
        key,
        ordinal: record.int("ordinal")?,
        before: object(&identity).map(Cow::Owned),
        after: object(&columns).map(Cow::Owned),
        position: record.text("lsn")?.map(|lsn| Position::any(&lsn)),
        transaction: record.word("xid")?,
        version: None,
        at: record.time("timestamp")?,
        trace: TraceParent::default(),
        session: None,
        context: context(record, &columns, &identity),
    }))
}

/// Begin, commit and messages change no row.
fn operation(action: &str) -> Result<Option<Operation>, Fault> {
    Ok(Some(match action {
        "I" => Operation::Insert,
        "U" => Operation::Update,
        "D" => Operation::Delete,
        "T" => Operation::Truncate,
        "B" | "C" | "M" => return Ok(None),
        _ => return Err(("action", format!("`{action}` is none of I, U, D, T, B, C, M"))),
    }))
}

/// Which server and database, as the pump tells them.
fn server(record: &Object<'_>) -> Result<String, Fault> {
    let (cluster, database) = (record.word("cluster")?.unwrap_or_default(), record.text("database")?.unwrap_or_default());
    Ok(format!("{cluster}/{database}"))
}

struct Column<'a> {
    name: String,
    /// As it was sent.
    kind: Option<&'a RawValue>,
    value: &'a RawValue,
}

/// `[{"name", "type", "value"}]`.
fn columns<'a>(record: &Object<'a>, list: &'static str) -> Result<Vec<Column<'a>>, Fault> {
    let mut columns = Vec::new();
    for raw in record.list(list)?.unwrap_or_default() {
        let column = Object::of(raw).ok_or_else(|| (list, "must be a list of objects".to_owned()))?;
        let name = column.required("name", Object::text)?.into_owned();
        columns.push(Column { name, kind: column.raw("type"), value: column.raw("value").unwrap_or(RawValue::NULL) });
    }
    Ok(columns)
}

fn object(columns: &[Column<'_>]) -> Option<String> {
    let mut members = Members::default();
    columns.iter().for_each(|column| members.raw(&column.name, column.value.get()));
    members.finish()
}

/// What has no column, and the type of each column of the row.
fn context(record: &Object<'_>, columns: &[Column<'_>], identity: &[Column<'_>]) -> Option<String> {
    let (mut context, mut types) = (record.rest(&OWN), Members::default());
    let known = if columns.is_empty() { identity } else { columns };
    known.iter().for_each(|column| column.kind.into_iter().for_each(|kind| types.raw(&column.name, kind.get())));
    types.finish().into_iter().for_each(|types| context.raw("types", &types));
    context.finish()
}

/// The columns that `pk` names, as they were; without it all of the old identity.
fn key(record: &Object<'_>, columns: &[Column<'_>], identity: &[Column<'_>]) -> Result<Option<String>, Fault> {
    let known = if identity.is_empty() { columns } else { identity };
    let names: Option<HashSet<String>> = record.list("pk")?.map(|list| {
        let name = |raw: &RawValue| Object::of(raw)?.text("name").ok()?.map(Cow::into_owned);
        list.into_iter().filter_map(name).collect()
    });
    let is_key = |name: &String| names.as_ref().map_or(!identity.is_empty(), |names| names.contains(name));
    let key = known.iter().filter(|column| is_key(&column.name)).map(|column| (column.name.as_str(), column.value));
    Ok(key::of_members(key.collect()))
}
