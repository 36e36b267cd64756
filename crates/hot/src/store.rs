//! The file: opened, checked, written through one thread, read through a few connections.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use bytes::Bytes;
use rusqlite::Connection;
use watershed_schema::proto::BatchHeader;
use watershed_schema::{LogRecord, Lsn, Seq};

use crate::writer::{Done, Queue, Write};
use crate::{HotError, reader, writer};

/// "WSHD": marks the file as ours.
const APPLICATION_ID: i32 = 0x5753_4844;
const VERSION: i32 = 3;
const PAGE_BYTES: i32 = 16 * 1024;

/// Name in `meta` of the first number that is still here.
pub(crate) const FIRST_SEQ: &str = "hot.first_seq";

/// Heads have a table of their own: a lookup walks all of them, and beside a payload each would cost a page or two.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS log (
        lsn INTEGER PRIMARY KEY, term INTEGER NOT NULL, kind INTEGER NOT NULL, crc INTEGER NOT NULL, payload BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS heads (
        lsn INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, rows INTEGER NOT NULL, min_ts INTEGER NOT NULL,
        max_ts INTEGER NOT NULL, types INTEGER NOT NULL, head BLOB NOT NULL);
    CREATE INDEX IF NOT EXISTS heads_first_seq ON heads (first_seq);
    CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;";

/// How a store behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes that may wait for the disk.
    pub queue_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { queue_bytes_max: 64 * 1024 * 1024 }
    }
}

/// Where a log begins that starts with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// The last entry that the snapshot holds.
    pub lsn: Lsn,
    /// Number of the first event behind it.
    pub next_seq: Seq,
}

/// What the store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// First event still here.
    pub first_seq: Seq,
    /// The next event's number.
    pub next_seq: Seq,
    /// Bytes of the file and its write-ahead log.
    pub bytes: u64,
}

/// One shard replica on disk. Cheap to clone; the last clone closes the file.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    queue: Arc<Queue>,
    readers: Mutex<Vec<Connection>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// [`HotError::Foreign`] for a file that is not ours, else what SQLite says.
    pub fn open(path: &Path, options: Options) -> Result<Self, HotError> {
        let connection = Connection::open(path)?;
        prepare(&connection)?;
        let next_seq = reader::next_seq(&connection)?;
        let queue = Arc::new(Queue::new(options.queue_bytes_max));
        let of_thread = Arc::clone(&queue);
        let writer = std::thread::Builder::new()
            .name("hot-writer".to_owned())
            .spawn(move || writer::run(connection, next_seq, &of_thread))
            .map_err(|error| HotError::Sqlite(error.to_string()))?;
        let writer = Mutex::new(Some(writer));
        Ok(Self { inner: Arc::new(Inner { path: path.to_owned(), queue, readers: Mutex::default(), writer }) })
    }

    /// Appends entries; `done` is called when they are durable. Calls are carried out in order.
    pub fn append(&self, records: Vec<LogRecord>, done: Done) {
        self.inner.queue.push(Write::Append(records), done);
    }

    /// Removes entries from `lsn` on: they lost against another leader's.
    pub fn truncate_from(&self, lsn: Lsn, done: Done) {
        self.inner.queue.push(Write::TruncateFrom(lsn), done);
    }

    /// Keeps a value beside the log, in order with the appends.
    pub fn put_meta(&self, key: &str, value: Bytes, done: Done) {
        self.inner.queue.push(Write::PutMeta(key.to_owned(), value), done);
    }

    /// Removes entries up to and with `lsn`; returns when that is durable.
    ///
    /// # Errors
    /// What the disk says.
    pub fn purge_upto_inclusive(&self, lsn: Lsn) -> Result<(), HotError> {
        let (tell, told) = mpsc::sync_channel(1);
        let done = Box::new(move |result| drop(tell.send(result)));
        self.inner.queue.push(Write::PurgeUpto(lsn), done);
        told.recv().map_err(|_gone| HotError::Closed)?
    }

    /// Starts the log again behind a snapshot, in one transaction: entries up to and with `base.lsn` are gone, the next
    /// event's number is `base.next_seq`, `values` are kept. Entries behind it stay when their numbers fit, else
    /// [`HotError::Invalid`].
    pub fn install(&self, base: Base, values: Vec<(String, Bytes)>, done: Done) {
        self.inner.queue.push(Write::Install(base, values), done);
    }

    /// Number of the first event behind the entry `lsn`, which is here or was the last one purged.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn next_seq_after(&self, lsn: Lsn) -> Result<Seq, HotError> {
        self.read(|connection| reader::next_seq_after(connection, lsn))
    }

    /// A value kept beside the log.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn meta(&self, key: &str) -> Result<Option<Bytes>, HotError> {
        self.read(|connection| reader::meta(connection, key))
    }

    /// Entries `[from, to)`, up to `bytes_max` of payload, at least one.
    ///
    /// # Errors
    /// [`HotError::Corrupt`] for a wrong checksum.
    pub fn records(&self, from: Lsn, to_exclusive: Lsn, bytes_max: usize) -> Result<Vec<LogRecord>, HotError> {
        self.read(|connection| reader::records(connection, from, to_exclusive, bytes_max))
    }

    /// Position of the last entry.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn last(&self) -> Result<Option<(Lsn, watershed_schema::Term)>, HotError> {
        self.read(reader::last)
    }

    /// Batches of the log that may match.
    ///
    /// # Errors
    /// [`HotError::Trimmed`] when `from_seq` is no longer here, [`HotError::Corrupt`] for a wrong checksum.
    pub fn scan(&self, request: &crate::ScanRequest) -> Result<crate::ScanPage, HotError> {
        self.read(|connection| reader::scan(connection, request))
    }

    /// Headers of batches that may match, with the number of their first event; no payload is read.
    ///
    /// # Errors
    /// [`HotError::Trimmed`] when `from_seq` is no longer here, [`HotError::Corrupt`] for a wrong checksum.
    pub fn heads(&self, request: &crate::ScanRequest) -> Result<Vec<(Seq, BatchHeader)>, HotError> {
        self.read(|connection| reader::heads(connection, request))
    }

    /// What the store holds.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn stats(&self) -> Result<Stats, HotError> {
        let (first_seq, next_seq) =
            self.read(|connection| Ok((reader::first_seq(connection)?, reader::next_seq(connection)?)))?;
        Ok(Stats { first_seq, next_seq, bytes: self.bytes() })
    }

    /// Bytes of the files; asks the file system only.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let size = |suffix: &str| {
            let mut path = self.inner.path.clone().into_os_string();
            path.push(suffix);
            std::fs::metadata(path).map_or(0, |file| file.len())
        };
        size("") + size("-wal")
    }

    fn read<T>(&self, with: impl FnOnce(&Connection) -> Result<T, HotError>) -> Result<T, HotError> {
        let pooled = self.readers().pop();
        let connection = pooled.map_or_else(|| reader::open(&self.inner.path), Ok)?;
        let result = with(&connection);
        self.readers().push(connection);
        result
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.thread().id() != std::thread::current().id() && writer.join().is_err()) {
            tracing::error!("the writer thread of a shard panicked");
        }
    }
}

fn prepare(connection: &Connection) -> Result<(), HotError> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let foreign = |error: rusqlite::Error| HotError::Foreign(error.to_string());
    let (id, version) = (number("application_id").map_err(foreign)?, number("user_version").map_err(foreign)?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(foreign)?;
    let new = (id, version, tables) == (0, 0, 0);
    if !new && (id, version) != (APPLICATION_ID, VERSION) {
        return Err(HotError::Foreign(format!("application id {id:#x}, version {version}")));
    }
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(TABLES)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}
