//! Which files there are, how long, and which of them was used when: the one whose last use is the oldest goes first.

use std::time::{Duration, SystemTime};

use hashlink::LruCache;

/// How old a use must be that the disk hears of the next. It counts after a restart only, and a lookup uses every file.
const TOLD_AFTER: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Uses {
    files: LruCache<u64, Use>,
    bytes: u64,
    bytes_max: u64,
}

#[derive(Clone, Copy, Debug)]
struct Use {
    bytes: u64,
    told: SystemTime,
}

impl Uses {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { files: LruCache::new_unbounded(), bytes: 0, bytes_max }
    }

    pub(super) fn fits(&self, bytes: u64) -> bool {
        bytes <= self.bytes_max
    }

    /// Adds a file; those that must go for it come back.
    pub(super) fn add(&mut self, name: u64, bytes: u64, told: SystemTime) -> Vec<u64> {
        self.remove(name);
        self.files.insert(name, Use { bytes, told });
        self.bytes += bytes;
        let mut gone = Vec::new();
        while self.bytes > self.bytes_max
            && let Some((oldest, used)) = self.files.remove_lru()
        {
            self.bytes -= used.bytes;
            gone.push(oldest);
        }
        gone
    }

    /// Notes a use, and says whether the disk is to hear of it.
    pub(super) fn note(&mut self, name: u64, now: SystemTime) -> bool {
        let Some(used) = self.files.get_mut(&name) else { return false };
        let is_old = now.duration_since(used.told).is_ok_and(|age| age >= TOLD_AFTER);
        if is_old {
            used.told = now;
        }
        is_old
    }

    pub(super) fn remove(&mut self, name: u64) {
        self.bytes -= self.files.remove(&name).map_or(0, |used| used.bytes);
    }

    pub(super) fn has(&self, name: u64) -> bool {
        self.files.contains_key(&name)
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_use_goes_first_and_a_use_is_told_now_and_then() {
        let (mut uses, start) = (Uses::new(30), SystemTime::UNIX_EPOCH);
        assert!((1..=3).all(|name| uses.add(name, 10, start).is_empty()));
        assert!(!uses.note(1, start + TOLD_AFTER / 2) && uses.note(1, start + TOLD_AFTER));
        assert!(!uses.note(1, start + TOLD_AFTER), "told a moment ago");
        assert_eq!(uses.add(4, 15, start), [2, 3]);
        assert_eq!((uses.has(1), uses.bytes()), (true, 25));
        uses.remove(1);
        assert_eq!(uses.add(4, 5, start), [0; 0], "written again");
        assert_eq!(uses.bytes(), 5);
        assert!(uses.fits(30) && !uses.fits(31));
    }
}
