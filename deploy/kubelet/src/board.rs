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
    pods: Mutex<Pods>,
    names: Vec<Name>,
    file: PathBuf,
}

#[derive(Debug, Default)]
struct Pods {
    here: BTreeMap<String, Known>,
    /// Gone, and since when not ready: services do not know it yet.
    gone: Vec<(Ipv4Addr, Instant)>,
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
        pods.here.insert(pod.to_owned(), Known { address, is_ready: false, unready_since: None });
        self.publish(&pods)
    }

    /// A pod became ready, or is no longer. True when that is news.
    ///
    /// # Errors
    /// When the hosts file cannot be written.
    pub fn set_ready(&self, pod: &str, is_ready: bool) -> anyhow::Result<bool> {
        let mut pods = self.lock();
        let Some(known) = pods.here.get_mut(pod).filter(|known| known.is_ready != is_ready) else { return Ok(false) };
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
        if let Some(known) = pods.here.remove(pod)
            && let Some(since) = known.unready_since
        {
            pods.gone.push((known.address, since));
        }
        self.publish(&pods)
    }

    /// Where a service sends requests now.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Ipv4Addr> {
        let mut pods = self.lock();
        pods.gone.retain(|(_, since)| since.elapsed() < WORD_TRAVELS);
        let serves = |known: &&Known| known.is_ready || known.unready_since.is_some_and(|since| since.elapsed() < WORD_TRAVELS);
        let here = pods.here.values().filter(serves).map(|known| known.address);
        here.chain(pods.gone.iter().map(|(address, _)| *address)).collect()
    }

    /// Since no code panics while it holds the lock, a poisoned one is whole.
    fn lock(&self) -> MutexGuard<'_, Pods> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, pods: &Pods) -> anyhow::Result<()> {
        let entry =
            |(name, known): (&String, &Known)| Entry { name: name.clone(), address: known.address, is_ready: known.is_ready };
        let entries: Vec<Entry> = pods.here.iter().map(entry).collect();
        Ok(hosts::write(&self.file, &hosts::text(&self.names, &entries))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_learns_late_that_a_pod_went() {
        let file = std::env::temp_dir().join(format!("board-{}", std::process::id()));
        let board = Board::new(Vec::new(), &file).expect("a board");
        let address = Ipv4Addr::new(10, 0, 0, 2);
        board.add("w-0", address).expect("written");
        assert!(board.endpoints().is_empty());
        assert!(board.set_ready("w-0", true).expect("written") && !board.set_ready("w-0", true).expect("written"));
        board.set_ready("w-0", false).expect("written");
        board.remove("w-0").expect("written");
        assert_eq!(board.endpoints(), [address]);
        let end = Instant::now() + 10 * WORD_TRAVELS;
        while !board.endpoints().is_empty() {
            assert!(Instant::now() < end, "it never learns");
            std::thread::yield_now();
        }
        std::fs::remove_file(file).expect("removed");
    }
}
