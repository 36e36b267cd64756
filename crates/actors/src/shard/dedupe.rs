//! Ids of recent events, to recognise a retry.
//!
//! Two generations: a bounded window without a queue of ages. Every replica keeps it from the log.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use watershed_schema::limits::DEDUPE_IDS_MAX;

/// Ids are hashes already.
#[derive(Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, id: u128) {
        let bytes = id.to_le_bytes();
        self.0 = u64::from_le_bytes(bytes[..8].try_into().expect("invariant: eight of sixteen bytes"));
    }
}

type Ids = HashSet<u128, BuildHasherDefault<AsIs>>;

/// The window: at least `DEDUPE_IDS_MAX / 2`, at most `DEDUPE_IDS_MAX` ids.
#[derive(Default)]
pub(crate) struct Dedupe {
    young: Ids,
    old: Ids,
}

impl Dedupe {
    pub(crate) fn contains(&self, id: u128) -> bool {
        self.young.contains(&id) || self.old.contains(&id)
    }

    pub(crate) fn insert(&mut self, id: u128) {
        if self.young.len() >= DEDUPE_IDS_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
