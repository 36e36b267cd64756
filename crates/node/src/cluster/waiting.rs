//! What waits for its other half, by the node that it is for: bounded in bytes and in time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use watershed_schema::NodeId;

/// Bytes that wait in all.
const BYTES_MAX: usize = 64 * 1024 * 1024;
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A node and the number of its call.
pub(super) type Key = (NodeId, u64);

struct Entry<T> {
    since: Instant,
    bytes: usize,
    what: T,
}

pub(super) struct Waiting<T> {
    entries: BTreeMap<Key, Entry<T>>,
    bytes: usize,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), bytes: 0 }
    }
}

impl<T> Waiting<T> {
    /// Keeps something that takes so many bytes, in the place of what had its key.
    pub(super) fn insert(&mut self, key: Key, bytes: usize, what: T) -> Result<(), String> {
        self.forget_old();
        self.remove(key);
        if self.bytes + bytes > BYTES_MAX {
            return Err(format!("{bytes} bytes more than {} would wait, limit {BYTES_MAX}", self.bytes));
        }
        self.bytes += bytes;
        self.entries.insert(key, Entry { since: Instant::now(), bytes, what });
        Ok(())
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.entries.get_mut(&key).map(|entry| &mut entry.what)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.remove(&key)?;
        self.bytes -= entry.bytes;
        Some(entry.what)
    }

    fn forget_old(&mut self) {
        let old: Vec<Key> =
            self.entries.iter().filter(|(_, entry)| entry.since.elapsed() > WAIT_MAX).map(|(key, _)| *key).collect();
        old.into_iter().for_each(|key| drop(self.remove(key)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_that_wait() {
        let mut waiting = Waiting::default();
        let key = (NodeId(1), 7);
        waiting.insert(key, BYTES_MAX, "once").unwrap();
        waiting.insert(key, BYTES_MAX, "again").unwrap();
        assert!(waiting.insert((NodeId(2), 7), 1, "more").unwrap_err().contains("limit 67108864"));
        assert_eq!(waiting.remove(key), Some("again"));
        assert_eq!(waiting.get_mut(key), None);
        waiting.insert((NodeId(2), 7), BYTES_MAX, "there is room").unwrap();
    }
}
