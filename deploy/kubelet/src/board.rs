//! Which pods there are and which are ready: what the name server and the services go by.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::hosts::{self, Entry, Name};

/// How long a service goes on sending to a pod that is no longer ready: in a cluster the word travels too.
pub const WORD_TRAVELS: Duration = Duration::from_secs(1);

/// Shared by all pods and services.
#[derive(Debug)]
pub struct Board {
    pods: Mutex<BTreeMap<String, Known>>,
    names: Vec<Name>,
    file: PathBuf,
}

#[derive(Clone, Debug)]
struct Known {
    address: Ipv4Addr,
    is_ready: bool,
    unready_since: Option<Instant>,
}

impl Board {
    /// An empty board that keeps a hosts file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn new(names: Vec<Name>, file: &Path) -> anyhow::Result<Self> {
        let board = Self { pods: Mutex::default(), names, file: file.to_owned() };
        board.publish(&board.lock())?;
        Ok(board)
    }

    /// The hosts file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A pod has an address.
    ///
    /// # Errors
    /// When the hosts file cannot be written.
    pub fn add(&self, pod: &str, address: Ipv4Addr) -> anyhow::Result<()> {
        let mut pods = self.lock();
        pods.insert(pod.to_owned(), Known { address, is_ready: false, unready_since: None });
        self.publish(&pods)
    }

    /// A pod became ready, or is no longer. True when that is news.
    ///
    /// # Errors
    /// When the hosts file cannot be written.
    pub fn set_ready(&self, pod: &str, is_ready: bool) -> anyhow::Result<bool> {
        let mut pods = self.lock();
        let Some(known) = pods.get_mut(pod).filter(|known| known.is_ready != is_ready) else { return Ok(false) };
        known.is_ready = is_ready;
        known.unready_since = (!is_ready).then(Instant::now);
        self.publish(&pods)?;
        Ok(true)
    }

    /// A pod is gone.
    ///
    /// # Errors
    /// When the hosts file cannot be written.
    pub fn remove(&self, pod: &str) -> anyhow::Result<()> {
        let mut pods = self.lock();
        pods.remove(pod);
        self.publish(&pods)
    }

    /// Where a service sends requests now.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Ipv4Addr> {
        let serves = |known: &&Known| known.is_ready || known.unready_since.is_some_and(|since| since.elapsed() < WORD_TRAVELS);
        self.lock().values().filter(serves).map(|known| known.address).collect()
    }

    /// Since no code panics while it holds the lock, a poisoned one is whole.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, pods: &BTreeMap<String, Known>) -> anyhow::Result<()> {
        let entry =
            |(name, known): (&String, &Known)| Entry { name: name.clone(), address: known.address, is_ready: known.is_ready };
        let entries: Vec<Entry> = pods.iter().map(entry).collect();
        Ok(hosts::write(&self.file, &hosts::text(&self.names, &entries))?)
    }
}
