//! What the senders did and what they were told, as it happens. A request without an answer is unknown, not absent.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

/// The run's clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts at zero.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Microseconds since the start.
    #[must_use]
    pub fn us(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// What became of a batch, as far as its sender knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The answer came at this time, microseconds.
    Acknowledged(u64),
    /// No answer, or another one: it may be stored.
    Unknown,
}

/// A batch: events of one tenant with these ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Batch {
    /// Whose.
    pub tenant: String,
    /// Ids of its events; no other batch has them.
    pub ids: Range<u64>,
    /// When it was sent first, microseconds.
    pub sent_us: u64,
    /// What became of it.
    pub fate: Fate,
}

/// Everything that was sent.
#[derive(Debug, Default)]
pub struct History(Mutex<Vec<Batch>>);

impl History {
    fn batches(&self) -> MutexGuard<'_, Vec<Batch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a batch before it is sent; its number in here.
    pub fn sent(&self, tenant: &str, ids: Range<u64>, sent_us: u64) -> usize {
        let mut batches = self.batches();
        batches.push(Batch { tenant: tenant.to_owned(), ids, sent_us, fate: Fate::Unknown });
        batches.len() - 1
    }

    /// Notes its acknowledgement; the first one counts.
    pub fn acknowledged(&self, number: usize, at_us: u64) {
        let mut batches = self.batches();
        if batches[number].fate == Fate::Unknown {
            batches[number].fate = Fate::Acknowledged(at_us);
        }
    }

    /// Whether a tenant got an acknowledgement after that time.
    #[must_use]
    pub fn is_acknowledged_since(&self, tenant: &str, since_us: u64) -> bool {
        let is_so = |batch: &Batch| batch.tenant == tenant && matches!(batch.fate, Fate::Acknowledged(us) if us > since_us);
        self.batches().iter().any(is_so)
    }

    /// All batches as they are now.
    #[must_use]
    pub fn all(&self) -> Vec<Batch> {
        self.batches().clone()
    }
}
