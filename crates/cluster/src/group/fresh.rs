//! The newest entries in memory: readable the moment they are appended, as openraft demands, also before they are
//! durable; and an entry that is applied right after its commit need not be read back from the disk.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::EntryPayload;

use super::types::LogEntry;

/// Bytes of durable entries that are kept; what is not durable yet is kept whatever its size.
const DURABLE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A run of entries without holes, up to the end of the log. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Fresh(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    entries: VecDeque<LogEntry>,
    bytes: usize,
    /// Entries below this index are durable.
    durable: u64,
}

impl Fresh {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// New entries, behind all others.
    pub(crate) fn append(&self, entries: &[LogEntry]) {
        let mut state = self.state();
        state.bytes += entries.iter().map(bytes_of).sum::<usize>();
        state.entries.extend(entries.iter().cloned());
    }

    /// Everything below `end` is durable: the oldest may go.
    pub(crate) fn durable(&self, end: u64) {
        let mut state = self.state();
        state.durable = state.durable.max(end);
        while state.bytes > DURABLE_BYTES_MAX && state.entries.front().is_some_and(|entry| entry.log_id.index < state.durable) {
            let gone = state.entries.pop_front().map_or(0, |entry| bytes_of(&entry));
            state.bytes -= gone;
        }
    }

    /// Entries from `from` on are gone.
    pub(crate) fn truncate(&self, from: u64) {
        let mut state = self.state();
        state.durable = state.durable.min(from);
        state.entries.retain(|entry| entry.log_id.index < from);
        state.bytes = state.entries.iter().map(bytes_of).sum();
    }

    /// Entries up to and with `last` are gone.
    pub(crate) fn purge(&self, last: u64) {
        let mut state = self.state();
        state.entries.retain(|entry| entry.log_id.index > last);
        state.bytes = state.entries.iter().map(bytes_of).sum();
    }

    /// Those of `[from, to)` that are here. What is missing before the first of them is on the disk.
    pub(crate) fn range(&self, from: u64, to: u64) -> Vec<LogEntry> {
        let state = self.state();
        let inside = |entry: &&LogEntry| (from..to).contains(&entry.log_id.index);
        let start = state.entries.partition_point(|entry| entry.log_id.index < from);
        state.entries.range(start..).take_while(inside).cloned().collect()
    }

    /// Index behind which everything is here, if anything is.
    pub(crate) fn last(&self) -> Option<LogEntry> {
        self.state().entries.back().cloned()
    }
}

/// Bytes of an entry in memory and, generously, in a body.
pub(crate) fn bytes_of(entry: &LogEntry) -> usize {
    const OVERHEAD: usize = 128;
    match &entry.payload {
        EntryPayload::Normal(command) => command.payload.len() + OVERHEAD,
        EntryPayload::Blank | EntryPayload::Membership(_) => OVERHEAD,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use watershed_schema::{Lsn, Term};

    use super::*;
    use crate::group::types::{Command, position};

    fn entry(index: u64, bytes: usize) -> LogEntry {
        let command = Command { kind: 2, payload: Bytes::from(vec![0; bytes]) };
        LogEntry { log_id: position(Lsn(index), Term(1)), payload: EntryPayload::Normal(command) }
    }

    fn indexes(fresh: &Fresh, from: u64, to: u64) -> Vec<u64> {
        fresh.range(from, to).iter().map(|entry| entry.log_id.index).collect()
    }

    #[test]
    fn what_is_not_durable_stays_whatever_its_size() {
        let fresh = Fresh::default();
        (1..=8).for_each(|index| fresh.append(&[entry(index, DURABLE_BYTES_MAX / 2)]));
        assert_eq!(indexes(&fresh, 0, u64::MAX), [1, 2, 3, 4, 5, 6, 7, 8]);
        fresh.durable(4);
        assert_eq!(indexes(&fresh, 0, u64::MAX), [4, 5, 6, 7, 8]);
        fresh.durable(9);
        assert_eq!(indexes(&fresh, 0, u64::MAX), [8]);
    }

    #[test]
    fn a_range_is_cut_at_both_ends_and_forgets_what_was_truncated() {
        let fresh = Fresh::default();
        (5..=9).for_each(|index| fresh.append(&[entry(index, 10)]));
        assert_eq!(indexes(&fresh, 6, 8), [6, 7]);
        fresh.truncate(8);
        fresh.append(&[entry(8, 10)]);
        assert_eq!(indexes(&fresh, 0, 100), [5, 6, 7, 8]);
        fresh.purge(6);
        assert_eq!(indexes(&fresh, 0, 100), [7, 8]);
    }
}
