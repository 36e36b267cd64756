//! The load: senders of all tenants, a subscriber for each, and a reader that looks while things break.

mod otlp;
mod reader;
mod sender;
mod subscriber;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};

use crate::checker::Read;
use crate::history::{Clock, History};
pub(crate) use otlp::id_of;
use sender::Sender;
pub use subscriber::Followed;

/// What is sent.
#[derive(Clone, Debug)]
pub struct Load {
    /// Whose events.
    pub tenants: Vec<String>,
    /// Senders of each tenant.
    pub senders: u64,
    /// Events a second, all senders together.
    pub rate: u64,
    /// Events after which no more are sent.
    pub events_max: u64,
    /// One acknowledged batch in so many is sent once more, as by a sender that missed the answer.
    pub again_once_in: u64,
    /// One batch in so many is given up when its outcome is unknown.
    pub give_up_once_in: u64,
}

/// Events of a batch.
const BATCH: u64 = 20;

/// What the parts of a load share.
#[derive(Debug)]
pub struct Shared {
    /// Addresses of the nodes.
    pub endpoints: Vec<String>,
    /// What happened.
    pub history: History,
    /// The time.
    pub clock: Clock,
    /// Of everything that is drawn.
    pub seed: u64,
    senders_stop: AtomicBool,
    all_stop: AtomicBool,
    /// Answers that were no acknowledgement.
    refused: AtomicU64,
    resent: AtomicU64,
}

impl Shared {
    /// Of a run that begins now.
    #[must_use]
    pub fn new(endpoints: Vec<String>, seed: u64) -> Self {
        Self {
            endpoints,
            history: History::default(),
            clock: Clock::start(),
            seed,
            senders_stop: AtomicBool::new(false),
            all_stop: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            resent: AtomicU64::new(0),
        }
    }

    /// Attempts that ended without an acknowledgement.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Acknowledged batches that were sent once more.
    #[must_use]
    pub fn resent(&self) -> u64 {
        self.resent.load(Ordering::Relaxed)
    }
}

/// A load that runs.
#[derive(Debug)]
pub struct Workload {
    shared: Arc<Shared>,
    senders: JoinSet<()>,
    subscribers: Vec<Arc<Followed>>,
    following: JoinSet<()>,
    reader: JoinHandle<Vec<Read>>,
}

const STOP_DEADLINE: Duration = Duration::from_secs(20);

impl Workload {
    /// Starts everybody.
    #[must_use]
    pub fn start(load: &Load, shared: &Arc<Shared>) -> Self {
        let (mut senders, mut following, mut subscribers) = (JoinSet::new(), JoinSet::new(), Vec::new());
        let count = load.senders * load.tenants.len() as u64;
        let pause = Duration::from_micros(1_000_000 * BATCH * count / load.rate.max(1));
        for (place, tenant) in (0..).zip(&load.tenants) {
            for number in 0..load.senders {
                let id = place * load.senders + number;
                senders.spawn(Sender::new(id, tenant, load, Arc::clone(shared)).run(pause));
            }
            let followed = Arc::new(Followed::new(tenant));
            following.spawn(subscriber::follow(Arc::clone(&followed), place, Arc::clone(shared)));
            subscribers.push(followed);
        }
        let reader = tokio::spawn(reader::read_on(load.tenants.clone(), Arc::clone(shared)));
        Self { shared: Arc::clone(shared), senders, subscribers, following, reader }
    }

    /// How many senders have not come to their end.
    #[must_use]
    pub fn senders(&mut self) -> u64 {
        while self.senders.try_join_next().is_some() {}
        self.senders.len() as u64
    }

    /// Ends the senders; what they sent goes on to the subscribers.
    pub async fn stop_senders(&mut self) {
        self.shared.senders_stop.store(true, Ordering::Relaxed);
        let all = async { while self.senders.join_next().await.is_some() {} };
        drop(tokio::time::timeout(STOP_DEADLINE, all).await);
        self.senders.abort_all();
    }

    /// What the subscribers have seen so far.
    #[must_use]
    pub fn subscribers(&self) -> &[Arc<Followed>] {
        &self.subscribers
    }

    /// Ends the rest; what was read during the load, and what each subscription saw.
    pub async fn stop(mut self) -> (Vec<Read>, Vec<Arc<Followed>>) {
        self.shared.all_stop.store(true, Ordering::Relaxed);
        self.following.shutdown().await;
        let during = tokio::time::timeout(STOP_DEADLINE, self.reader).await;
        (during.ok().and_then(Result::ok).unwrap_or_default(), self.subscribers)
    }
}
