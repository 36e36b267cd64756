//! How much of a node's memory reading from the lake in order may take.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Bytes of what a stream holds of its files: they are read once for each time that it is full.
const LARGE_BYTES: usize = 32 << 20;
/// The same where all large ones are taken: as much as a page of the hot tier.
const SMALL_BYTES: usize = 1 << 20;
/// Part of it that is opened at a time; the rest is compressed, to some seventh of its length.
const PAGE_PART: usize = 4;
/// Large rooms of a node, also of streams whose clients are slow.
const LARGE_MAX: usize = 4;
/// Rooms of a node that are filled at a time: each takes up to twice its bytes meanwhile.
const TURNS: usize = 2;

/// Room for the pages of all streams. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Rooms {
    large: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// Room for what one stream holds.
#[derive(Debug)]
pub(super) struct Room {
    bytes: usize,
    _large: Option<OwnedSemaphorePermit>,
}

impl Default for Rooms {
    fn default() -> Self {
        Self { large: Arc::new(Semaphore::new(LARGE_MAX)), turns: Arc::new(Semaphore::new(TURNS)) }
    }
}

impl Rooms {
    /// Room, smaller when many are there: nobody waits for a slow client.
    pub(super) fn take(&self) -> Room {
        let large = Arc::clone(&self.large).try_acquire_owned().ok();
        Room { bytes: if large.is_some() { LARGE_BYTES } else { SMALL_BYTES }, _large: large }
    }

    /// Waits for a turn to read.
    pub(super) async fn turn(&self) -> SemaphorePermit<'_> {
        self.turns.acquire().await.expect("invariant: it is never closed")
    }
}

impl Room {
    /// For events that are kept compressed.
    pub(super) fn kept_bytes(&self) -> usize {
        self.bytes - self.page_bytes()
    }

    /// For those that are told next.
    pub(super) fn page_bytes(&self) -> usize {
        self.bytes / PAGE_PART
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pages_are_few_and_come_back() {
        let rooms = Rooms::default();
        let taken: Vec<_> = (0..LARGE_MAX).map(|_| rooms.take()).collect();
        assert!(taken.iter().all(|room| room.bytes == LARGE_BYTES));
        assert_eq!(rooms.take().bytes, SMALL_BYTES);
        drop(taken);
        assert_eq!(rooms.take().bytes, LARGE_BYTES);
    }
}
