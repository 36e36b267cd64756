//! Ids of recent events, to recognise a retry.
//!
//! Two generations: a bounded window without a queue of ages. Every replica keeps it from the log.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use watershed_schema::limits::DEDUPE_IDS_MAX;

/// 96 bits of an id's hash: of a million, none is taken for another in the age of the universe, and all shards of a node
/// remember a third less than with 128.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key([u32; 3]);

impl Key {
    #[expect(clippy::cast_possible_truncation, reason = "the bits are taken apart")]
    const fn of(id: u128) -> Self {
        Self([id as u32, (id >> 32) as u32, (id >> 64) as u32])
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.0[1]) << 32 | u64::from(self.0[0]));
    }
}

/// Ids are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, bits: u64) {
        self.0 = bits;
    }
}

type Ids = HashSet<Key, BuildHasherDefault<AsIs>>;

/// The window: at least `DEDUPE_IDS_MAX / 2`, at most `DEDUPE_IDS_MAX` ids.
#[derive(Default)]
pub(crate) struct Dedupe {
    young: Ids,
    old: Ids,
}

impl Dedupe {
    pub(crate) fn contains(&self, id: u128) -> bool {
        let key = Key::of(id);
        self.young.contains(&key) || self.old.contains(&key)
    }

    pub(crate) fn insert(&mut self, id: u128) {
        if self.young.len() >= DEDUPE_IDS_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(Key::of(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_bits_that_are_kept_tells_ids_apart() {
        let mut dedupe = Dedupe::default();
        dedupe.insert(0);
        assert!((0..96).all(|bit| !dedupe.contains(1 << bit)) && dedupe.contains(0));
    }

    #[test]
    fn a_generation_is_as_large_as_its_table() {
        let mut dedupe = Dedupe::default();
        (0..DEDUPE_IDS_MAX as u128 / 2).for_each(|id| dedupe.insert(id << 57 | id));
        assert_eq!(dedupe.young.capacity(), DEDUPE_IDS_MAX / 2, "one more would double it");
    }

    #[test]
    fn the_last_half_window_is_always_known() {
        let mut dedupe = Dedupe::default();
        let half = u128::try_from(DEDUPE_IDS_MAX / 2).expect("small");
        for id in 0..3 * half {
            dedupe.insert(id << 64 | id);
        }
        let last = 3 * half - 1;
        assert!((last - half + 1..=last).all(|id| dedupe.contains(id << 64 | id)));
        assert!(!dedupe.contains(0));
        assert!(dedupe.young.len() + dedupe.old.len() <= DEDUPE_IDS_MAX);
    }
}
