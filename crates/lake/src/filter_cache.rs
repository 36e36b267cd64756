//! Bloom filters of data files in a folder of this machine, so that a process that has just started need not ask every file
//! of the lake again.
//!
//! It only ever saves reading: what is missing, damaged or of another file is read from the data file as before, and a folder
//! that cannot be written keeps nothing. Nothing is synced: what a crash leaves half is found by its checksums.

mod entry;
mod pages;
mod uses;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::task::spawn_blocking;
use twox_hash::XxHash64;

use crate::filters::{OfFile, Wanted};
use entry::Entry;
use uses::Uses;

/// Bytes when nothing else is said: some 400 million spans.
pub const FILTER_CACHE_BYTES_DEFAULT: usize = 1 << 30;

/// How long nothing is written after a write failed: on a full disk every lookup would try for every file.
const REST: Duration = Duration::from_secs(60);
/// Ends the name of a file that is being written.
const UNFINISHED: &str = "new";

/// A data file. Its length, too: a table that was made anew may use a name again.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) path: String,
    pub(crate) size: u64,
}

#[derive(Debug)]
pub(crate) struct FilterCache {
    folder: PathBuf,
    uses: Mutex<Uses>,
    failed: Mutex<Option<Instant>>,
    writes: AtomicU64,
}

impl FilterCache {
    /// What is in the folder, at most so many bytes of it.
    ///
    /// # Errors
    /// When the folder cannot be made or listed.
    pub(crate) fn open(folder: &Path, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let cache = Self {
            folder: folder.to_owned(),
            uses: Mutex::new(Uses::new(bytes_max)),
            failed: Mutex::default(),
            writes: AtomicU64::default(),
        };
        let mut found = Vec::new();
        for file in fs::read_dir(folder)? {
            found.extend(cache.found(&file?.path()));
        }
        found.sort_unstable();
        for (used, name, bytes) in found {
            cache.add(name, bytes, used);
        }
        Ok(cache)
    }

    /// When it was used, its name and its length; none for what is not ours.
    fn found(&self, path: &Path) -> Option<(SystemTime, u64, u64)> {
        if path.extension().is_some_and(|ending| ending == UNFINISHED) {
            remove(path);
        }
        let name = u64::from_str_radix(path.file_name()?.to_str()?, 16).ok().filter(|name| self.at(*name) == path)?;
        let found = fs::metadata(path).ok()?;
        Some((found.modified().ok()?, name, found.len()))
    }

    /// Whether a file may hold one value of each; none when that is not known here.
    pub(crate) async fn may_hold(self: &Arc<Self>, key: Key, wanted: &Arc<[Wanted]>) -> Option<bool> {
        let (cache, wanted) = (Arc::clone(self), Arc::clone(wanted));
        spawn_blocking(move || cache.ask(&key, &wanted)).await.ok().flatten()
    }

    /// Keeps what a file's filters are, and says whether it did.
    pub(crate) async fn keep(self: &Arc<Self>, key: Key, filters: Arc<OfFile>) -> bool {
        let cache = Arc::clone(self);
        spawn_blocking(move || cache.write(&key, &filters)).await.unwrap_or(false)
    }

    /// For a data file that is no more.
    pub(crate) async fn forget(self: &Arc<Self>, path: &str) {
        let (cache, name) = (Arc::clone(self), name(path));
        // Dropped with the process, or not at all.
        drop(spawn_blocking(move || cache.remove(name)).await);
    }

    /// Whether writing failed a moment ago.
    pub(crate) fn rests(&self) -> bool {
        lock(&self.failed).is_some_and(|since| since.elapsed() < REST)
    }

    fn ask(&self, key: &Key, wanted: &[Wanted]) -> Option<bool> {
        let name = name(&key.path);
        let asked = Entry::open(&self.at(name), key).and_then(|entry| Ok((entry.may_hold(wanted)?, entry)));
        match asked {
            Ok((answer, entry)) => {
                self.used(name, &entry);
                Some(answer)
            }
            Err(error) => {
                self.doubt(name, key, &error);
                None
            }
        }
    }

    /// What is damaged goes; what cannot be read now may be read later.
    fn doubt(&self, name: u64, key: &Key, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::NotFound => lock(&self.uses).remove(name),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                tracing::warn!(path = key.path, %error, "filters that were kept are damaged: they are read from the lake again");
                self.remove(name);
            }
            _ => tracing::debug!(path = key.path, %error, "filters that are kept cannot be read"),
        }
    }

    fn used(&self, name: u64, entry: &Entry) {
        let now = SystemTime::now();
        if lock(&self.uses).note(name, now)
            && let Err(error) = entry.file().set_modified(now)
        {
            tracing::debug!(%error, "a use of kept filters is not noted");
        }
    }

    fn write(&self, key: &Key, filters: &OfFile) -> bool {
        let (name, bytes) = (name(&key.path), entry::bytes(filters));
        if self.rests() || !lock(&self.uses).fits(bytes) {
            return false;
        }
        // Room first: the bound holds while it is written, too.
        self.add(name, bytes, SystemTime::now());
        let unfinished = self.folder.join(format!("{name:016x}-{}.{UNFINISHED}", self.writes.fetch_add(1, Ordering::Relaxed)));
        let written = File::create(&unfinished).and_then(|file| entry::write(file, key, filters));
        match written.and_then(|()| fs::rename(&unfinished, self.at(name))) {
            Ok(()) => *lock(&self.failed) = None,
            Err(error) => {
                remove(&unfinished);
                self.fail(name, &error);
                return false;
            }
        }
        // Another may have needed its room meanwhile.
        let is_kept = lock(&self.uses).has(name);
        if !is_kept {
            remove(&self.at(name));
        }
        is_kept
    }

    fn fail(&self, name: u64, error: &io::Error) {
        self.remove(name);
        if lock(&self.failed).replace(Instant::now()).is_none() {
            tracing::warn!(folder = %self.folder.display(), %error, "filters cannot be kept: lookups read them from the lake");
        }
    }

    fn add(&self, name: u64, bytes: u64, used: SystemTime) {
        let gone = lock(&self.uses).add(name, bytes, used);
        gone.into_iter().for_each(|name| remove(&self.at(name)));
    }

    fn remove(&self, name: u64) {
        lock(&self.uses).remove(name);
        remove(&self.at(name));
    }

    fn at(&self, name: u64) -> PathBuf {
        self.folder.join(format!("{name:016x}"))
    }
}

fn name(path: &str) -> u64 {
    XxHash64::oneshot(0, path.as_bytes())
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::debug!(path = %path.display(), %error, "stays"),
        _ => {}
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
