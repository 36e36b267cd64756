//! Whether a subscription's messages follow each other without hole or repeat.

use std::collections::BTreeMap;

use crate::Error;

/// The next seq that each shard owes us.
#[derive(Debug, Default)]
pub(crate) struct Continuity {
    next: BTreeMap<u32, u64>,
}

impl Continuity {
    /// Notes that `[from, to)` of `shard` is covered; `seqs` are the matches inside.
    pub(crate) fn advance(&mut self, shard: u32, covered: std::ops::Range<u64>, seqs: &[u64]) -> Result<(), Error> {
        let expected = self.next.get(&shard).copied().unwrap_or(covered.start);
        if covered.start != expected {
            return Err(Error::Broken { shard, expected, got: covered.start });
        }
        let mut least = covered.start;
        for seq in seqs.iter().copied() {
            if seq < least || seq >= covered.end {
                return Err(Error::Broken { shard, expected: least, got: seq });
            }
            least = seq + 1;
        }
        self.next.insert(shard, covered.end.max(least));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_follows() {
        let mut state = Continuity::default();
        state.advance(0, 5..8, &[5, 7]).unwrap();
        state.advance(1, 1..2, &[1]).unwrap();
        state.advance(0, 8..9, &[]).unwrap();
    }

    #[test]
    fn refuses_holes_repeats_and_strangers() {
        let mut state = Continuity::default();
        state.advance(0, 5..8, &[]).unwrap();
        assert!(matches!(state.advance(0, 9..10, &[]), Err(Error::Broken { expected: 8, got: 9, .. })));
        assert!(matches!(state.advance(0, 7..10, &[]), Err(Error::Broken { expected: 8, got: 7, .. })));
        assert!(matches!(state.advance(0, 8..10, &[10]), Err(Error::Broken { expected: 8, got: 10, .. })));
        assert!(matches!(state.advance(0, 8..10, &[9, 9]), Err(Error::Broken { expected: 10, got: 9, .. })));
    }
}
