//! wal2json, format 2: one object for each change, <https://github.com/eulerto/wal2json#parameters>.
//!
//! `include-lsn`, `include-xids`, `include-timestamp` and `include-pk` should be on: the first makes a change recognised
//! when it is delivered again, the last names its key.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::position::Position;
use super::{Change, Operation, key};
use crate::Fault;
use crate::json::{Members, Object};
use crate::trace_context::TraceParent;

pub(super) fn change<'a>(record: &Object<'a>) -> Result<Option<Change<'a>>, Fault> {
    let Some(operation) = operation(&record.required("action", Object::text)?)? else { return Ok(None) };
    let (columns, identity) = (columns(record, "columns")?, columns(record, "identity")?);
    Ok(Some(Change {
        operation,
        system: Cow::Borrowed("postgresql"),
        database: record.text("schema")?,
        table: record.required("table", Object::text)?,
        key: key(record, &columns, &identity)?,
        before: object(&identity).map(Cow::Owned),
        after: object(&columns).map(Cow::Owned),
        position: record.text("lsn")?.map(|lsn| Position::any(&lsn)),
        transaction: record.word("xid")?,
        version: None,
        at: record.time("timestamp")?,
        trace: TraceParent::default(),
        session: None,
        context: None,
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

type Columns<'a> = Vec<(String, &'a RawValue)>;

/// `[{"name", "type", "value"}]`.
fn columns<'a>(record: &Object<'a>, list: &'static str) -> Result<Columns<'a>, Fault> {
    let mut columns = Vec::new();
    for raw in record.list(list)?.unwrap_or_default() {
        let column = Object::of(raw).ok_or_else(|| (list, "must be a list of objects".to_owned()))?;
        let value = column.members().find(|(name, _)| *name == "value").map_or(RawValue::NULL, |(_, value)| value);
        columns.push((column.required("name", Object::text)?.into_owned(), value));
    }
    Ok(columns)
}

fn object(columns: &Columns<'_>) -> Option<String> {
    let mut members = Members::default();
    columns.iter().for_each(|(name, value)| members.raw(name, value.get()));
    members.finish()
}

/// The columns that `pk` names, as they were; without it all of the old identity.
fn key(record: &Object<'_>, columns: &Columns<'_>, identity: &Columns<'_>) -> Result<Option<String>, Fault> {
    let known = if identity.is_empty() { columns } else { identity };
    let names: Option<Vec<String>> = record.list("pk")?.map(|list| {
        let name = |raw: &RawValue| Object::of(raw)?.text("name").ok()?.map(Cow::into_owned);
        list.into_iter().filter_map(name).collect()
    });
    let is_key = |name: &String| names.as_ref().map_or(!identity.is_empty(), |names| names.contains(name));
    Ok(key::of_members(known.iter().filter(|(name, _)| is_key(name)).map(|(name, value)| (name.as_str(), *value)).collect()))
}
