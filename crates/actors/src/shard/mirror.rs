//! Where a shard stands that has no replica on this node, kept up to date while somebody follows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use watershed_schema::Positions;

use super::ShardHandle;

const AFTER_AN_ERROR: Duration = Duration::from_millis(100);

/// The last that was heard. One question for news is on its way at a time, however many follow.
pub(crate) struct Mirror {
    positions: watch::Sender<Positions>,
    is_asking: AtomicBool,
}

impl Mirror {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { positions: watch::Sender::new(Positions::default()), is_asking: AtomicBool::new(false) })
    }

    pub(super) fn positions(&self) -> Positions {
        *self.positions.borrow()
    }

    /// News: never back, a deposed leader may know less.
    pub(super) fn heard(&self, now: Positions) {
        self.positions.send_if_modified(|known| {
            let is_news = now.tail() > known.tail() || now.tail() == known.tail() && now != *known;
            if is_news {
                *known = now;
            }
            is_news
        });
    }

    /// Follows the shard for as long as somebody listens.
    pub(super) fn watch(self: &Arc<Self>, shard: &ShardHandle) -> watch::Receiver<Positions> {
        let receiver = self.positions.subscribe();
        if !self.is_asking.swap(true, Ordering::SeqCst) {
            let (mirror, shard) = (Arc::clone(self), shard.clone());
            tokio::spawn(async move { mirror.follow(&shard).await });
        }
        receiver
    }

    async fn follow(&self, shard: &ShardHandle) {
        loop {
            while self.positions.receiver_count() > 0 {
                match shard.tail_elsewhere(self.positions().tail()).await {
                    Ok(now) => self.heard(now),
                    Err(_again) => sleep(AFTER_AN_ERROR).await,
                }
            }
            self.is_asking.store(false, Ordering::SeqCst);
            // Who came in between took it for asking still.
            if self.positions.receiver_count() == 0 || self.is_asking.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }
}
