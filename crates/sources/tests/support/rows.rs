//! What the tests of all sources share: a request's rows as text, and tables of rules.

#![allow(dead_code, clippy::unwrap_used, reason = "tests; each takes what it needs")]

use std::collections::BTreeMap;

use watershed_schema::{Column, Row, TenantId, Value};
use watershed_sources::registry::{self, Endpoint};
use watershed_sources::{Context, InvalidRequest, Transformed};

pub(crate) const NOW_US: i64 = 1_790_000_000_000_000;

pub(crate) fn context() -> Context {
    Context { tenant: TenantId::new("acme").unwrap(), received_at_us: NOW_US, batch_id: "b1".into() }
}

/// The endpoint with a path, of whichever source.
pub(crate) fn endpoint(path: &str) -> &'static Endpoint {
    registry::by_path(path).unwrap().1
}

pub(crate) fn send(path: &str, request: &str) -> Result<Transformed, InvalidRequest> {
    endpoint(path).transform(request.as_bytes(), &context())
}

/// A row as column → text.
pub(crate) type Texts = BTreeMap<&'static str, String>;

pub(crate) fn texts(row: &Row<'_>) -> Texts {
    let value = |column: &Column| Some((column.name(), text(row.get(*column).unwrap()?)));
    Column::ALL.iter().filter_map(value).collect()
}

fn text(value: Value<'_>) -> String {
    match value {
        Value::Text(text) => text.to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Payload(payload) => {
            let mut json = String::new();
            watershed_schema::payload::to_json(payload, &mut json).unwrap();
            json
        }
    }
}

/// All rows of a request in which nothing is rejected.
pub(crate) fn rows(path: &str, request: &str) -> Vec<Texts> {
    let Transformed { batch, rejects, .. } = send(path, request).unwrap();
    assert_eq!(rejects.count, 0, "{path}: {}", rejects.summary());
    batch.map(|batch| batch.rows().map(|row| texts(&row)).collect()).unwrap_or_default()
}

/// The one row of a request.
pub(crate) fn row(path: &str, request: &str) -> Texts {
    let mut rows = rows(path, request);
    assert_eq!(rows.len(), 1, "{path}: {request}");
    rows.remove(0)
}

/// `(what the rule says, request, [(column, text)])`; no text: the column is empty.
pub(crate) type Rule<'a> = (&'a str, String, &'a [(&'a str, Option<&'a str>)]);

/// Every rule of a table holds for a request to `path`.
pub(crate) fn hold(path: &str, rules: &[Rule<'_>]) {
    for (rule, request, expected) in rules {
        let row = row(path, request);
        for (column, text) in *expected {
            assert!(Column::from_name(column).is_some(), "{rule}: no column {column}");
            assert_eq!(row.get(column).map(String::as_str), *text, "{path}: {rule}: {column} of {request}");
        }
    }
}

/// `(what the rule says, request, field, part of the reason)`: the only record is a reject.
pub(crate) fn reject(path: &str, rules: &[(&str, &str, &str, &str)]) {
    for (rule, request, field, reason) in rules {
        let Transformed { batch, rejects, .. } = send(path, request).unwrap();
        assert!(batch.is_none() && rejects.count == 1, "{path}: {rule}: {request}");
        assert_eq!(rejects.first[0].field, *field, "{path}: {rule}");
        assert!(rejects.first[0].reason.contains(reason), "{path}: {rule}: {}", rejects.first[0].reason);
    }
}
