//! One clock for the heartbeats of all groups of a node.
//!
//! openraft gives each group a clock of its own: sixteen shards would wake a node and its peers hundreds of times a second,
//! each time for a few bytes. Groups that beat at the same moment have heartbeats that can travel together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver as _;
use openraft::{Raft, ServerState};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::machine::Machine;
use super::types::Types;

/// A group that is stuck keeps the others waiting no longer than this.
const PATIENCE: Duration = Duration::from_millis(super::HEARTBEAT_MS / 2);

/// The clock; it goes as long as one of its groups does. Cheap to clone.
#[derive(Clone)]
pub struct Pulse(Arc<Beating>);

#[derive(Default)]
struct Beating(Mutex<Vec<Weak<Heart>>>);

/// What beats: gone with the last handle of its group.
pub(super) struct Heart {
    raft: Raft<Types, Machine>,
    /// Whether a leader was followed since the last beat.
    followed: AtomicBool,
    _clock: Pulse,
}

impl Pulse {
    /// Starts the clock. Must run inside a tokio runtime.
    #[must_use]
    pub fn start() -> Self {
        let beating = Arc::new(Beating::default());
        tokio::spawn(run(Arc::downgrade(&beating)));
        Self(beating)
    }

    pub(super) fn join(self, raft: Raft<Types, Machine>) -> Arc<Heart> {
        let beating = Arc::clone(&self.0);
        let heart = Arc::new(Heart { raft, followed: AtomicBool::new(false), _clock: self });
        beating.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&heart));
        heart
    }
}

impl Beating {
    fn hearts(&self) -> Vec<Arc<Heart>> {
        let mut hearts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hearts.retain(|heart| heart.strong_count() > 0);
        hearts.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Heart {
    /// A leader was heard, and this replica follows it.
    pub(super) fn follow(&self) {
        self.followed.store(true, Ordering::Relaxed);
    }

    /// Only a leader beats, and only who hears none has to see that an election is due: each look at a timer wakes the
    /// node, of each group at another moment.
    async fn beat(&self) {
        let leads = self.raft.server_metrics().borrow_watched().state == ServerState::Leader;
        let follows = self.followed.swap(false, Ordering::Relaxed);
        self.raft.runtime_config().tick(!leads && !follows);
        if leads && self.raft.trigger().heartbeat().await.is_err() {
            tracing::debug!("a group that stopped does not beat");
        }
    }
}

async fn run(beating: Weak<Beating>) {
    let mut ticks = interval(Duration::from_millis(super::HEARTBEAT_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(hearts) = beating.upgrade().map(|beating| beating.hearts()) else { return };
        let beats = futures::future::join_all(hearts.iter().map(|heart| heart.beat()));
        if timeout(PATIENCE, beats).await.is_err() {
            tracing::warn!("a group does not take its heartbeat");
        }
    }
}
