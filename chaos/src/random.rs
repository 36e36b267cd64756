//! Numbers from a seed: the same everywhere and for ever, so that a seed names a run.

/// `SplitMix64` (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// A stream of its own for each `stream` of a seed.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed);
        let start = random.draw() ^ stream.wrapping_mul(GAMMA);
        Self(start)
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `from` on, below `to`; `from` when there is none between. The bias of the remainder does no harm here.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.draw() % to.saturating_sub(from).max(1)
    }

    /// A place in something of `length`, which is not empty.
    pub fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.between(0, length as u64)).expect("invariant: below a usize")
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.between(0, times) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seed in a report must mean the same run with every later build.
    #[test]
    fn a_seed_means_the_same_for_ever() {
        let mut random = Random::new(7, 1);
        let drawn: Vec<u64> = (0..4).map(|_| random.between(0, 1000)).collect();
        assert_eq!(drawn, VECTOR);
    }

    const VECTOR: [u64; 4] = [818, 890, 903, 641];
}
