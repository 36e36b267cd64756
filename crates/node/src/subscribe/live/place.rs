//! Where a live query stands, so that it can go on elsewhere as if it had never stopped.
//!
//! Windows are not kept anywhere. Who resumes reads again from the first event of any window that was open; of what was read
//! before, events of closed windows were told or counted as late, and count no second time.

use std::collections::BTreeMap;

use watershed_schema::{Seq, ShardId};

/// Windows whose first events are known each; beyond, the oldest is as good as begun with the next.
const WINDOWS_MAX: usize = 4_096;

/// What a resume token says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LivePlace {
    /// Windows that begin before are closed.
    pub(crate) closed_us: i64,
    /// Events so far that came after their window was closed, and those that no tier has any longer.
    pub(crate) late: u64,
    pub(crate) lost: u64,
    pub(crate) shards: Vec<ShardPlace>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShardPlace {
    pub(crate) shard: ShardId,
    /// From here on events are read again.
    pub(crate) from: Seq,
    /// Events before were read.
    pub(crate) read: Seq,
}

/// How far each shard was read, and where the open windows begin in it.
#[derive(Debug)]
pub(super) struct Places {
    every_us: i64,
    read: BTreeMap<ShardId, Seq>,
    /// By begin of the window.
    open: BTreeMap<i64, BTreeMap<ShardId, Seq>>,
    /// What was read before this stream, and which windows were closed then.
    before: BTreeMap<ShardId, Seq>,
    closed_before_us: i64,
}

impl Places {
    /// `cursors`: where the stream begins.
    pub(super) fn new(every_us: i64, cursors: impl Iterator<Item = (ShardId, Seq)>, resumed: &LivePlace) -> Self {
        let before: BTreeMap<_, _> = resumed.shards.iter().map(|place| (place.shard, place.read)).collect();
        let closed_before_us = resumed.closed_us;
        Self { every_us, read: cursors.collect(), open: BTreeMap::new(), before, closed_before_us }
    }

    /// An event was read; whether it counts.
    pub(super) fn saw(&mut self, (shard, seq): (ShardId, Seq), at_us: i64) -> bool {
        let start = at_us - at_us.rem_euclid(self.every_us);
        if start < self.closed_before_us && seq < self.before(shard) {
            return false;
        }
        let first = self.open.entry(start).or_default().entry(shard).or_insert(seq);
        *first = seq.min(*first);
        self.bound();
        true
    }

    /// To read on from too early is right, too: a window that is not known any more begins in the next where that began later.
    fn bound(&mut self) {
        if self.open.len() <= WINDOWS_MAX {
            return;
        }
        let oldest = self.open.pop_first().map(|(_, firsts)| firsts).unwrap_or_default();
        let Some(mut next) = self.open.first_entry() else { return };
        for (shard, seq) in oldest {
            let first = next.get_mut().entry(shard).or_insert(seq);
            *first = seq.min(*first);
        }
    }

    /// How many of these positions count as lost now.
    pub(super) fn lost(&self, shard: ShardId, (from, to): (Seq, Seq)) -> u64 {
        to.0.saturating_sub(from.max(self.before(shard)).0)
    }

    /// A shard was read up to here.
    pub(super) fn read(&mut self, shard: ShardId, to: Seq) {
        self.read.insert(shard, to);
    }

    /// Positions that were read, of all shards.
    pub(super) fn positions(&self) -> u64 {
        self.read.values().map(|seq| seq.0).sum()
    }

    /// What is resumed from: windows that begin before `closed_us` are closed.
    pub(super) fn token(&mut self, closed_us: i64, (late, lost): (u64, u64)) -> LivePlace {
        self.open = self.open.split_off(&closed_us);
        let place = |(shard, read): (&ShardId, &Seq)| {
            let first = self.open.values().filter_map(|window| window.get(shard)).min();
            ShardPlace { shard: *shard, from: *first.unwrap_or(read).min(read), read: (*read).max(self.before(*shard)) }
        };
        LivePlace { closed_us, late, lost, shards: self.read.iter().map(place).collect() }
    }

    fn before(&self, shard: ShardId) -> Seq {
        self.before.get(&shard).copied().unwrap_or(Seq(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ShardId = ShardId(1);
    const B: ShardId = ShardId(2);

    fn shard(shard: ShardId, from: u64, read: u64) -> ShardPlace {
        ShardPlace { shard, from: Seq(from), read: Seq(read) }
    }

    #[test]
    fn who_resumes_reads_the_open_windows_again_and_counts_nothing_twice() {
        let cursors = || [(A, Seq(10)), (B, Seq(1))].into_iter();
        let mut places = Places::new(100, cursors(), &LivePlace { closed_us: i64::MIN, ..LivePlace::default() });
        for (seq, at) in [(10, 50), (11, 150), (12, 90), (13, 260)] {
            assert!(places.saw((A, Seq(seq)), at));
        }
        places.read(A, Seq(14));
        assert_eq!(places.token(0, (0, 0)).shards, [shard(A, 10, 14), shard(B, 1, 1)], "all windows are open");
        let place = places.token(100, (3, 2));
        assert_eq!((place.shards.as_slice(), place.late), (&[shard(A, 11, 14), shard(B, 1, 1)][..], 3));

        let mut again = Places::new(100, [(A, Seq(11)), (B, Seq(1))].into_iter(), &place);
        assert!(again.saw((A, Seq(11)), 150));
        assert!(!again.saw((A, Seq(12)), 90), "of a window that was told");
        assert!(again.saw((A, Seq(13)), 260) && again.saw((A, Seq(14)), 90), "what was not read before may be late");
        assert_eq!((again.lost(A, (Seq(11), Seq(13))), again.lost(A, (Seq(12), Seq(16)))), (0, 2));
        assert_eq!(again.token(100, (3, 2)).shards[0], shard(A, 11, 14), "not yet read again: what was read stays known");
        for window in 10..10 + 2 * i64::try_from(WINDOWS_MAX).unwrap() {
            again.saw((B, Seq(7)), window * 100);
        }
        assert_eq!(again.open.len(), WINDOWS_MAX);
        assert_eq!(again.token(100, (0, 0)).shards[0].from, Seq(11), "what is not known each is read again");
        again.open.clear();
        again.read(A, Seq(15));
        assert_eq!(again.token(300, (4, 2)).shards, [shard(A, 15, 15), shard(B, 1, 1)], "no window is open");
    }
}
