//! Committed events that wait for the lake: so many bytes of them may stand on a node, then its shards take no more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When a refused sender should come back: the archiver tries once a second at most. Spread by up to as much again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What waits on this node, and why. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Backlog {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bytes_max: u64,
    used: AtomicU64,
    refusals: AtomicU64,
    failing: Mutex<Option<Failing>>,
}

/// Why nothing is archived.
#[derive(Clone, Debug)]
pub struct Failing {
    /// The newest reason.
    pub reason: String,
    /// Since when.
    pub since: Instant,
}

/// Too much waits; nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{used} bytes wait for the lake, archive_backlog is {bytes_max}{why}")]
pub(crate) struct Full {
    used: u64,
    bytes_max: u64,
    why: String,
    pub(crate) retry_after: Duration,
}

impl Backlog {
    /// At most about so many bytes: an entry that is on its way may go beyond.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        let inner = Inner { bytes_max, used: AtomicU64::new(0), refusals: AtomicU64::new(0), failing: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Bytes of the log that are in no snapshot of the lake, of all replicas here.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.inner.used.load(Ordering::Acquire)
    }

    /// The bound, bytes.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.inner.bytes_max
    }

    /// Why nothing is archived; none: it works, or was not tried yet.
    #[must_use]
    pub fn failing(&self) -> Option<Failing> {
        self.lock().clone()
    }

    /// Whether appends are refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.used() >= self.inner.bytes_max
    }

    pub(crate) fn check(&self) -> Result<(), Full> {
        if !self.is_full() {
            return Ok(());
        }
        metrics::counter!("watershed_archive_backlog_refusals_total").increment(1);
        let why = self.failing().map_or_else(String::new, |failing| format!(": archiving fails: {}", failing.reason));
        Err(Full { used: self.used(), bytes_max: self.inner.bytes_max, why, retry_after: self.retry_after() })
    }

    fn retry_after(&self) -> Duration {
        let refusals = self.inner.refusals.fetch_add(1, Ordering::Relaxed);
        let spread = (refusals.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1u64 << 24) as f64;
        RETRY_AFTER.mul_f64(1.0 + spread)
    }

    pub(crate) fn failed(&self, reason: String) {
        let mut failing = self.lock();
        let since = failing.as_ref().map_or_else(Instant::now, |failing| failing.since);
        *failing = Some(Failing { reason, since });
    }

    pub(crate) fn worked(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Failing>> {
        self.inner.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one replica adds; given back when it goes.
#[derive(Debug)]
pub(crate) struct Share {
    backlog: Backlog,
    bytes: u64,
}

impl Share {
    pub(crate) fn new(backlog: Backlog) -> Self {
        Self { backlog, bytes: 0 }
    }

    pub(crate) fn add(&mut self, bytes: u64) {
        self.set(self.bytes + bytes);
    }

    pub(crate) fn set(&mut self, bytes: u64) {
        self.backlog.inner.used.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::AcqRel);
        self.bytes = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_share_the_bound_and_give_back_what_they_had() {
        let backlog = Backlog::new(100);
        let (mut one, mut other) = (Share::new(backlog.clone()), Share::new(backlog.clone()));
        one.add(60);
        other.add(39);
        assert_eq!((backlog.used(), backlog.check()), (99, Ok(())));
        other.add(1);
        backlog.failed("no catalog".to_owned());
        let full = backlog.check().expect_err("is full");
        assert!(full.retry_after >= RETRY_AFTER);
        assert_eq!(full.to_string(), "100 bytes wait for the lake, archive_backlog is 100: archiving fails: no catalog");
        one.set(10);
        backlog.worked();
        assert_eq!((backlog.used(), backlog.check()), (50, Ok(())));
        drop((one, other));
        assert_eq!(backlog.used(), 0);
    }

    #[test]
    fn failing_counts_from_the_first_time() {
        let backlog = Backlog::new(1);
        backlog.failed("one".to_owned());
        let first = backlog.failing().expect("fails").since;
        backlog.failed("two".to_owned());
        let failing = backlog.failing().expect("fails");
        assert_eq!((failing.reason.as_str(), failing.since), ("two", first));
    }
}
