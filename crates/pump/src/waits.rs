//! Waits between attempts: exponential, with jitter, for ever.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

/// The waits that follow one another while nothing succeeds.
#[derive(Debug)]
pub(crate) struct Waits {
    waits: ExponentialBackoff,
    longest: Duration,
}

impl Waits {
    pub(crate) fn new(shortest: Duration, longest: Duration) -> Self {
        let builder = ExponentialBuilder::new().with_min_delay(shortest).with_max_delay(longest);
        Self { waits: builder.with_jitter().without_max_times().build(), longest }
    }

    pub(crate) fn next_wait(&mut self) -> Duration {
        self.waits.next().unwrap_or(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_never_end() {
        let (shortest, longest) = (Duration::from_millis(100), Duration::from_secs(10));
        let mut waits = Waits::new(shortest, longest);
        let all: Vec<_> = (0..1000).map(|_| waits.next_wait()).collect();
        assert!(all[0] >= shortest && all[0] < 2 * shortest, "{:?}", all[0]);
        assert!(all[999] >= longest && all.iter().all(|wait| *wait <= 2 * longest));
    }
}
