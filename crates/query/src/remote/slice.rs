//! How much of a shard is aggregated for one call of another node.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use watershed_schema::Seq;

/// Columns of a slice: what its states may come to.
const BYTES_MAX: usize = 8 << 20;
/// Who hangs up is not noticed before the slice is done.
const TIME_MAX: Duration = Duration::from_millis(250);

/// Ends behind the page with which it is full, so it holds one page at least.
#[derive(Debug)]
pub(crate) struct Slice {
    /// When its first page was read: planning takes its time, too.
    began: OnceLock<Instant>,
    bytes: AtomicUsize,
    next: AtomicU64,
}

impl Slice {
    /// Nothing before `from` is in it.
    pub(crate) fn new(from: Seq) -> Self {
        Self { began: OnceLock::new(), bytes: AtomicUsize::new(0), next: AtomicU64::new(from.0) }
    }

    /// A page of so many bytes was added, and everything before `next` is in the slice now.
    pub(crate) fn add(&self, bytes: usize, next: Seq) {
        self.began.get_or_init(Instant::now);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.next.store(next.0, Ordering::Relaxed);
    }

    pub(crate) fn is_full(&self) -> bool {
        let is_late = || self.began.get().is_some_and(|began| began.elapsed() >= TIME_MAX);
        self.bytes.load(Ordering::Relaxed) >= BYTES_MAX || is_late()
    }

    /// Where the next slice begins.
    pub(crate) fn next(&self) -> Seq {
        Seq(self.next.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_full_behind_the_page_with_which_it_is() {
        let slice = Slice::new(Seq(7));
        assert_eq!((slice.is_full(), slice.next()), (false, Seq(7)));
        slice.add(BYTES_MAX, Seq(19));
        assert_eq!((slice.is_full(), slice.next()), (true, Seq(19)));
    }
}
