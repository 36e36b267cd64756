//! The SQL: two tables, blocking calls moved off the async threads.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use iceberg::{Error, ErrorKind, Result};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, Row};

const BUSY: Duration = Duration::from_secs(10);
const BUSY_AGAIN: Duration = Duration::from_millis(10);

const LAYOUT: &str = "
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS iceberg_tables (
    catalog_name VARCHAR(255) NOT NULL,
    table_namespace VARCHAR(255) NOT NULL,
    table_name VARCHAR(255) NOT NULL,
    metadata_location VARCHAR(1000),
    previous_metadata_location VARCHAR(1000),
    iceberg_type VARCHAR(5),
    PRIMARY KEY (catalog_name, table_namespace, table_name));
CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
    catalog_name VARCHAR(255) NOT NULL,
    namespace VARCHAR(255) NOT NULL,
    property_key VARCHAR(255) NOT NULL,
    property_value VARCHAR(1000) NOT NULL,
    PRIMARY KEY (catalog_name, namespace, property_key));";

/// The one connection to the file.
#[derive(Clone, Debug)]
pub(crate) struct Db(Arc<Mutex<Connection>>);

impl Db {
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let path = path.to_owned();
        off_thread(move || {
            let connection = Connection::open(path).map_err(|e| broken(&e))?;
            connection.busy_timeout(BUSY).map_err(|e| broken(&e))?;
            refuse_foreign(&connection)?;
            begin_wal(&connection)?;
            connection.execute_batch(LAYOUT).map_err(|e| broken(&e))?;
            Ok(Self(Arc::new(Mutex::new(connection))))
        })
        .await
    }

    /// Runs `work` in one immediate transaction; an error rolls it back.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let db = Arc::clone(&self.0);
        off_thread(move || {
            let mut connection = db.lock().unwrap_or_else(PoisonError::into_inner);
            let behavior = rusqlite::TransactionBehavior::Immediate;
            let transaction = connection.transaction_with_behavior(behavior).map_err(|e| broken(&e))?;
            let done = work(&transaction)?;
            transaction.commit().map_err(|e| broken(&e))?;
            Ok(done)
        })
        .await
    }

    /// Runs a query.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let db = Arc::clone(&self.0);
        off_thread(move || work(&db.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

/// Nodes that share a new file may open it at the same moment. SQLite does not wait for the others here, whatever its busy
/// timeout: <https://sqlite.org/c3ref/busy_handler.html>.
fn begin_wal(connection: &Connection) -> Result<()> {
    let end = Instant::now() + BUSY;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < end => {
                std::thread::sleep(BUSY_AGAIN);
            }
            done => return done.map_err(|e| broken(&e)),
        }
    }
}

/// Somebody else's database gets no tables of ours. Either table will do: who made it may have died before the second.
fn refuse_foreign(connection: &Connection) -> Result<()> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'";
    let tables: Vec<String> = all(connection, sql, [], |row| row.get(0))?;
    let ours = |name: &String| matches!(name.as_str(), "iceberg_tables" | "iceberg_namespace_properties");
    if tables.is_empty() || tables.iter().any(ours) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::DataInvalid, format!("catalog file: is another database, with tables {}", tables.join(", "))))
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::new(ErrorKind::Unexpected, "catalog thread died").with_source(e))?
}

/// Rows changed.
pub(crate) fn execute(db: &Connection, sql: &str, params: impl Params) -> Result<usize> {
    db.execute(sql, params).map_err(|e| broken(&e))
}

/// The first row, if any.
pub(crate) fn first<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    db.query_row(sql, params, read).optional().map_err(|e| broken(&e))
}

/// All rows.
pub(crate) fn all<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut statement = db.prepare(sql).map_err(|e| broken(&e))?;
    let rows = statement.query_map(params, read).map_err(|e| broken(&e))?;
    rows.collect::<rusqlite::Result<Vec<T>>>().map_err(|e| broken(&e))
}

fn broken(error: &rusqlite::Error) -> Error {
    Error::new(ErrorKind::Unexpected, format!("catalog file: {error}"))
}
