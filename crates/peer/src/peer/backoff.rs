//! How long to wait before the next dial.

use std::time::Duration;

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN, BACKOFF_REFUSED};
use crate::proof::token;

/// Doubles from [`BACKOFF_MIN`] to [`BACKOFF_MAX`].
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(BACKOFF_MIN)
    }
}

impl Backoff {
    pub(super) fn next(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(BACKOFF_MAX);
        jittered(wait)
    }

    pub(super) fn refused() -> Duration {
        jittered(BACKOFF_REFUSED)
    }

    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Between half and all of it, so that nodes that lost each other at once do not dial each other at once.
fn jittered(wait: Duration) -> Duration {
    let half = wait / 2;
    half + Duration::from_micros(token() % u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_begin_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.next()).collect();
        assert!(waits[0] >= BACKOFF_MIN / 2 && waits[0] <= BACKOFF_MIN, "{waits:?}");
        assert!(waits[7] >= BACKOFF_MAX / 2 && waits[7] <= BACKOFF_MAX, "{waits:?}");
        backoff.reset();
        assert!(backoff.next() <= BACKOFF_MIN);
    }
}
