//! Change data capture: rows of a database as they change.
//!
//! Three shapes, told apart record by record: `operation` is the reference system's, `op` (also under `payload`) is
//! Debezium's envelope, `action` is wal2json, format 2. Tombstones, begins, commits and messages are no changes: they are
//! passed over.

mod debezium;
mod key;
mod native;
mod position;
mod twins;
mod wal2json;

use std::borrow::Cow;

use watershed_schema::limits::MESSAGE_BYTES_MAX;
use watershed_schema::{Column, EventType};

use crate::json::{self, Object};
use crate::rows::{Row, Rows};
use crate::trace_context::TraceParent;
use crate::{Context, Fault, InvalidRequest, Transformed};
use position::Position;
use twins::Twins;

const SOURCE: &str = "cdc";

/// Largest request, bytes.
pub const REQUEST_BYTES_MAX: usize = MESSAGE_BYTES_MAX;

/// Events of a request.
///
/// # Errors
/// [`InvalidRequest`] when the request is not JSON or holds more than a batch may.
pub fn transform(request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    let (mut rows, mut twins) = (Rows::new(SOURCE, request, context), Twins::default());
    let text = json::checked(request)?;
    for raw in json::records(&text)? {
        // Kafka's tombstone behind a deletion: no change, and yet it has a place among the records.
        if raw.get() == "null" {
            rows.pass_over();
            continue;
        }
        rows.record(raw, |record, rows| match change_of(record)? {
            Some(change) => rows.add(EventType::Cdc, |row| change.write(row, &mut twins)),
            None => Ok(()),
        });
    }
    rows.finish()
}

fn change_of<'a>(record: &Object<'a>) -> Result<Option<Change<'a>>, Fault> {
    if record.has("operation") {
        return native::change(record).map(Some);
    }
    if record.has("action") {
        return wal2json::change(record);
    }
    debezium::change(record)
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Insert,
    Update,
    Delete,
    /// It was there when the capture began.
    Read,
    Truncate,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Read => "READ",
            Self::Truncate => "TRUNCATE",
        }
    }
}

/// A change, whoever told it.
struct Change<'a> {
    operation: Operation,
    system: Cow<'a, str>,
    /// Which of several databases of that system, as far as the sender says: LSNs of two clusters may be equal.
    server: String,
    /// The schema, or the database where there are none.
    database: Option<Cow<'a, str>>,
    table: Cow<'a, str>,
    key: Option<String>,
    /// Whether the sender said what the key is; else the row's `id` was taken for it, or there is none.
    is_key_told: bool,
    /// Its number among the changes at one place, or in its transaction.
    ordinal: Option<i64>,
    before: Option<Cow<'a, str>>,
    after: Option<Cow<'a, str>>,
    position: Option<Position>,
    transaction: Option<Cow<'a, str>>,
    version: Option<i64>,
    at: Option<i64>,
    trace: TraceParent<'a>,
    session: Option<Cow<'a, str>>,
    /// What has no column.
    context: Option<String>,
}

impl Change<'_> {
    fn write(self, row: &mut Row<'_, '_>, twins: &mut Twins) -> Result<(), Fault> {
        self.write_id(row, twins);
        row.name(&format!("{}.{}", self.table, self.operation.as_str()));
        row.time(self.at)?;
        self.trace.write(row);
        row.text(Column::SessionId, self.session);
        row.text(Column::TransactionId, self.transaction);
        row.text(Column::ResourceType, Some(&self.table));
        row.text(Column::ResourceId, self.key.as_ref().map(|key| row.owned(&format!("{}/{key}", self.table))));
        row.text(Column::DbSystem, Some(self.system));
        row.text(Column::DbName, self.database);
        row.text(Column::DbTable, Some(self.table));
        row.text(Column::DbOperation, Some(self.operation.as_str()));
        row.text(Column::DbRowId, self.key);
        row.text(Column::DbLsn, self.position.map(|position| position.text));
        row.int(Column::DbVersion, self.version);
        row.text(Column::DbBefore, self.before.as_deref());
        row.text(Column::DbAfter, self.after.as_deref());
        row.data(self.after.or(self.before).map(Cow::into_owned));
        row.composed(Column::Context, self.context);
        Ok(())
    }

    /// A place in the database's log makes a change recognised however often it is delivered.
    fn write_id(&self, row: &mut Row<'_, '_>, twins: &mut Twins) {
        let Some(position) = &self.position else { return row.id_of_place() };
        let or_empty = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
        let (database, key) = (or_empty(&self.database), self.key.clone().unwrap_or_default());
        let group = format!("{}/{}/{database}/{}", self.system, self.server, self.table);
        let place = [self.operation.as_str(), &position.text, &position.within];
        let named = [&[SOURCE, &group, &key][..], &place].concat();
        let which = self.which(&named, twins);
        row.id_of(&group, &[&named[..], &[&which]].concat());
    }

    /// One record of PostgreSQL's log may hold many rows (`COPY`), and a snapshot is read at one place. A key tells rows
    /// apart; without one it is what they say and, where the sender counts, their number.
    fn which(&self, named: &[&str], twins: &mut Twins) -> String {
        if self.is_key_told && self.key.is_some() {
            return String::new();
        }
        let content = self.after.as_deref().or(self.before.as_deref()).unwrap_or_default();
        let which = format!("{}/{content}", self.ordinal.unwrap_or_default());
        match self.ordinal {
            Some(_) => which,
            None => twins.apart(named, which),
        }
    }
}
