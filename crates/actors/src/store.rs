//! The hot store as consensus sees it, and a disk that may fill up without killing the shard.
//!
//! A full disk is no error of the log: the write waits and is tried again until there is space, while
//! new appends are refused at the door. Every other error reaches consensus, which stops the replica.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use watershed_cluster::{Base, Done, ReplicaStore};
use watershed_hot::{HotError, Store};
use watershed_schema::{LogRecord, Lsn, Seq, Term};

const RETRY: Duration = Duration::from_millis(200);

/// Whether the disk has space, and the writes in order.
pub(crate) struct Disk {
    store: Store,
    full: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Write, Done)>,
    writing: bool,
}

#[derive(Clone)]
enum Write {
    Append(Vec<LogRecord>),
    Truncate(Lsn),
    Meta(String, Bytes),
    Install(Base, Vec<(String, Bytes)>),
}

impl Disk {
    pub(crate) fn new(store: Store) -> Arc<Self> {
        Arc::new(Self { store, full: AtomicBool::new(false), queue: Mutex::default() })
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(self: &Arc<Self>, write: Write, done: Done) {
        let mut queue = self.queue();
        queue.waiting.push_back((write, done));
        if !std::mem::replace(&mut queue.writing, true) {
            drop(queue);
            self.next();
        }
    }

    fn next(self: &Arc<Self>) {
        let mut queue = self.queue();
        let next = queue.waiting.pop_front();
        queue.writing = next.is_some();
        drop(queue);
        if let Some((write, done)) = next {
            self.write(write, done);
        }
    }

    fn write(self: &Arc<Self>, write: Write, done: Done) {
        let disk = Arc::clone(self);
        let again = write.clone();
        let finish = Box::new(move |result: Result<(), HotError>| disk.finished(again, done, result));
        self.submit(write, finish);
    }

    fn submit(&self, write: Write, finish: Box<dyn FnOnce(Result<(), HotError>) + Send>) {
        match write {
            Write::Append(records) => self.store.append(records, finish),
            Write::Truncate(from) => self.store.truncate_from(from, finish),
            Write::Meta(key, value) => self.store.put_meta(&key, value, finish),
            Write::Install(Base { lsn, next_seq }, values) => {
                self.store.install(watershed_hot::Base { lsn, next_seq }, values, finish);
            }
        }
    }

    fn finished(self: Arc<Self>, write: Write, done: Done, result: Result<(), HotError>) {
        if matches!(result, Err(HotError::DiskFull | HotError::Busy { .. })) {
            if !self.full.swap(true, Ordering::AcqRel) {
                tracing::warn!("the disk is full: appends are refused until there is space");
            }
            std::thread::spawn(move || {
                std::thread::sleep(RETRY);
                self.write(write, done);
            });
            return;
        }
        self.full.store(false, Ordering::Release);
        done(result.map_err(io::Error::other));
        self.next();
    }
}

/// [`Disk`] as the storage of a Raft group.
pub(crate) struct GroupStore(pub(crate) Arc<Disk>);

impl ReplicaStore for GroupStore {
    fn append(&self, records: Vec<LogRecord>, done: Done) {
        self.0.enqueue(Write::Append(records), done);
    }

    fn truncate_from(&self, lsn: Lsn, done: Done) {
        self.0.enqueue(Write::Truncate(lsn), done);
    }

    fn purge_upto(&self, lsn_inclusive: Lsn) -> io::Result<()> {
        self.0.store.purge_upto_inclusive(lsn_inclusive).map_err(io::Error::other)
    }

    fn records(&self, from: Lsn, to_exclusive: Lsn, bytes_max: usize) -> io::Result<Vec<LogRecord>> {
        self.0.store.records(from, to_exclusive, bytes_max).map_err(io::Error::other)
    }

    fn last(&self) -> io::Result<Option<(Lsn, Term)>> {
        self.0.store.last().map_err(io::Error::other)
    }

    fn put_meta(&self, key: &str, value: Bytes, done: Done) {
        self.0.enqueue(Write::Meta(key.to_owned(), value), done);
    }

    fn install(&self, base: Base, values: Vec<(String, Bytes)>, done: Done) {
        self.0.enqueue(Write::Install(base, values), done);
    }

    fn next_seq_after(&self, lsn: Lsn) -> io::Result<Seq> {
        self.0.store.next_seq_after(lsn).map_err(io::Error::other)
    }

    fn meta(&self, key: &str) -> io::Result<Option<Bytes>> {
        self.0.store.meta(key).map_err(io::Error::other)
    }
}
