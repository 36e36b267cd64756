//! When entries were applied here: what trimming and archiving go by, and how much waits to be archived.
//!
//! Entries that come close together are one age: at full speed there are hundreds a second, and ten minutes of them are kept.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use watershed_schema::{Lsn, Seq};

/// Entries that were applied within that time share an age ...
const TOGETHER: Duration = Duration::from_millis(250);
/// ... while they are not longer than that: one that is archived in part counts whole.
const BYTES_MAX: u64 = 4 << 20;

/// Entries of about one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age {
    /// When the first of them was.
    applied: Instant,
    /// The last of them, and where its rows end.
    pub(crate) lsn: Lsn,
    pub(crate) tail: Seq,
    /// Of their payloads.
    bytes: u64,
}

/// Those of the log, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ages(VecDeque<Age>);

impl Ages {
    /// One more entry was applied now.
    pub(crate) fn push(&mut self, (lsn, tail): (Lsn, Seq), bytes: u64) {
        let is_together = |age: &&mut Age| age.bytes + bytes <= BYTES_MAX && age.applied.elapsed() < TOGETHER;
        match self.0.back_mut().filter(is_together) {
            Some(age) => *age = Age { lsn, tail, bytes: age.bytes + bytes, ..*age },
            None => self.0.push_back(Age { applied: Instant::now(), lsn, tail, bytes }),
        }
    }

    /// When the oldest entry was applied of which rows lie at or behind `seq`.
    pub(crate) fn since(&self, seq: Seq) -> Option<Instant> {
        self.0.iter().find(|age| age.tail > seq).map(|age| age.applied)
    }

    /// Bytes of entries of which rows lie at or behind `seq`.
    pub(crate) fn bytes_behind(&self, seq: Seq) -> u64 {
        self.0.iter().rev().take_while(|age| age.tail > seq).map(|age| age.bytes).sum()
    }

    /// Forgets entries that are all older than `kept` and end at or before `archived`: the last of them.
    pub(crate) fn forget(&mut self, kept: Duration, archived: Seq) -> Option<Age> {
        // The last entry of an age is younger than the first.
        let may_go = |age: &Age| age.applied.elapsed() >= kept + TOGETHER && age.tail <= archived;
        let count = self.0.iter().take_while(|age| may_go(age)).count();
        self.0.drain(..count).next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of three entries, the last of which would make an age too long.
    fn three() -> Ages {
        let mut ages = Ages::default();
        for (entry, bytes) in [(1, 10), (2, 20), (3, BYTES_MAX)] {
            ages.push((Lsn(entry), Seq(1 + 10 * entry)), bytes);
        }
        ages
    }

    #[test]
    fn an_age_counts_whole_until_the_last_of_its_rows_is_archived() {
        let ages = three();
        let waits = |seq| ages.bytes_behind(Seq(seq));
        assert_eq!((waits(1), waits(20), waits(30), waits(31)), (BYTES_MAX + 30, BYTES_MAX + 30, BYTES_MAX, 0));
        assert_eq!(ages.since(Seq(31)), None);
        assert!(ages.since(Seq(1)) <= ages.since(Seq(21)));
    }

    #[test]
    fn nothing_goes_that_is_young_or_not_archived() {
        let mut ages = three();
        assert_eq!(ages.forget(Duration::from_secs(3_600), Seq(31)), None);
        ages.0.iter_mut().for_each(|age| age.applied -= 2 * TOGETHER);
        assert_eq!(ages.forget(TOGETHER, Seq(20)), None, "a part of the first is not archived");
        assert_eq!(ages.forget(2 * TOGETHER, Seq(31)), None, "its last entry may be younger than its first");
        assert_eq!(ages.forget(TOGETHER, Seq(30)).map(|age| (age.lsn, age.tail)), Some((Lsn(2), Seq(21))));
        assert_eq!(ages.forget(TOGETHER, Seq(31)).map(|age| age.lsn), Some(Lsn(3)));
    }
}
