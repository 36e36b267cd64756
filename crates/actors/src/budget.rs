//! Bytes are permits: what is in memory on its way to the disk is bounded, and freed when the data is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// A bound on bytes in flight, shared by everything that takes requests.
#[derive(Clone, Debug)]
pub struct Budget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bytes_max: usize,
    used: AtomicUsize,
    drained: AtomicU64,
    refusals: AtomicU64,
    since: Instant,
}

/// The budget is used up; nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{used} of {bytes_max} bytes are in flight")]
pub struct Busy {
    /// Bytes in flight.
    pub used: usize,
    /// The bound.
    pub bytes_max: usize,
    /// When to come back: from the drain rate, with jitter.
    pub retry_after: Duration,
}

/// A claim on the budget; dropping it gives the bytes back.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    /// At most `bytes_max` bytes in flight.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let inner = Inner {
            bytes_max,
            used: AtomicUsize::new(0),
            drained: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            since: Instant::now(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Claims bytes. One request bigger than the whole budget is admitted when nothing else is in flight.
    ///
    /// # Errors
    /// [`Busy`] when they do not fit.
    pub fn admit(&self, bytes: usize) -> Result<Permit, Busy> {
        self.claim(0, bytes)?;
        Ok(Permit { budget: self.clone(), bytes })
    }

    /// Claims `more` for a request that has `mine` already.
    fn claim(&self, mine: usize, more: usize) -> Result<(), Busy> {
        let bytes_max = self.inner.bytes_max;
        let fits = |used: usize| (used == mine || used.saturating_add(more) <= bytes_max).then_some(used + more);
        let claimed = self.inner.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits);
        claimed.map(drop).map_err(|used| Busy { used, bytes_max, retry_after: self.retry_after() })
    }

    /// Bytes in flight now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.inner.used.load(Ordering::Acquire)
    }

    /// The bound, bytes.
    #[must_use]
    pub fn max(&self) -> usize {
        self.inner.bytes_max
    }

    /// How long a refused sender should wait: the time to drain what is in flight, spread by up to a half.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        let drained = self.inner.drained.load(Ordering::Relaxed).max(1);
        let wait = self.inner.since.elapsed().mul_f64((self.used() as f64 / drained as f64).min(1e3));
        let refusals = self.inner.refusals.fetch_add(1, Ordering::Relaxed);
        let spread = (refusals.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1u64 << 24) as f64;
        wait.clamp(RETRY_MIN, RETRY_MAX).mul_f64(1.0 + spread / 2.0)
    }
}

impl Permit {
    /// Claims so many bytes in all, for a request that is bigger than it said. Alone it is admitted, whatever its size.
    ///
    /// # Errors
    /// [`Busy`] when they do not fit; what was claimed before stays claimed.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Busy> {
        let more = bytes.saturating_sub(self.bytes);
        self.budget.claim(self.bytes, more)?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.inner.used.fetch_sub(self.bytes, Ordering::AcqRel);
        self.budget.inner.drained.fetch_add(self.bytes as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_when_the_permit_goes() {
        let budget = Budget::new(100);
        let first = budget.admit(60).expect("fits");
        let refused = budget.admit(60).expect_err("does not fit");
        assert_eq!((refused.used, refused.bytes_max), (60, 100));
        assert!(refused.retry_after >= RETRY_MIN);
        drop(first);
        assert_eq!(budget.used(), 0);
        let _second = budget.admit(60).expect("fits again");
    }

    #[test]
    fn a_request_that_unfolds_claims_what_it_became() {
        let budget = Budget::new(100);
        let (mut small, other) = (budget.admit(10).expect("fits"), budget.admit(50).expect("fits"));
        small.grow_to(5).expect("smaller is no growth");
        small.grow_to(50).expect("fits");
        assert_eq!(small.grow_to(51).expect_err("does not fit").used, 100);
        drop(other);
        small.grow_to(500).expect("nothing else is in flight");
        assert_eq!(budget.used(), 500);
        drop(small);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_request_bigger_than_the_budget_is_not_locked_out() {
        let budget = Budget::new(10);
        let _alone = budget.admit(50).expect("nothing else is in flight");
        assert!(budget.admit(1).is_err());
    }
}
