//! Streams: each reads the log as its consumer pulls, and sleeps in the node's [`Hub`] when it has seen everything.
//!
//! Nothing is buffered for a slow consumer: it asks for the next step when it wants one. At the tail a step comes
//! from memory as soon as there is one, behind the tail from the log; the consumer cannot tell.

mod filter;
mod hub;
mod index;
mod watch;

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;
use watershed_hot::ScanRequest;
use watershed_schema::proto::GapReason;
use watershed_schema::{EventBatch, Seq, ShardId, TenantId};

pub use filter::{Filter, FilterError};
pub(crate) use hub::Hub;

use crate::shard::{ReadError, ShardHandle};
use hub::{Place, Sleeper};

/// Events that may be passed over in a sleep before the consumer is told.
const PASSED_OVER_MAX: u64 = 10_000;

/// Where a stream stands in a shard: the next event that it has not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The shard.
    pub shard: ShardId,
    /// Next event.
    pub next: Seq,
}

/// What comes next in a shard.
#[derive(Clone, Debug)]
pub enum Step {
    /// Events `[from, to)`: batches of the stream's tenant with the number of their first event, which may lie
    /// before `from`. What is missing was held against the stream's filter already.
    Events {
        /// The shard.
        shard: ShardId,
        /// First position covered.
        from: Seq,
        /// Position behind the last.
        to: Seq,
        /// What is inside.
        blocks: Vec<(Seq, Arc<EventBatch>)>,
    },
    /// Events `[from, to)` are no longer in the hot tier.
    Trimmed {
        /// The shard.
        shard: ShardId,
        /// First position that is gone.
        from: Seq,
        /// First position still here.
        to: Seq,
    },
    /// Events `[from, to)` are not told.
    Gap {
        /// The shard.
        shard: ShardId,
        /// First position lost.
        from: Seq,
        /// Where it goes on.
        to: Seq,
        /// Why.
        reason: GapReason,
    },
}

/// What a stream does that falls behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLag {
    /// Reads everything, however long it takes.
    CatchUp,
    /// Passes over what is more than so many events behind a shard's tail, and says so.
    Drop {
        /// Events.
        events: u64,
    },
}

/// A stream's reader.
pub struct Subscriber {
    hub: Hub,
    tenant: TenantId,
    filter: Arc<Filter>,
    on_lag: OnLag,
    follows: VecDeque<Follow>,
    /// Where it sleeps.
    place: Option<Place>,
    /// What was passed over in a sleep.
    passed: VecDeque<Step>,
}

struct Follow {
    shard: ShardHandle,
    next: Seq,
}

impl Subscriber {
    pub(crate) fn new(
        hub: Hub,
        shards: &[ShardHandle],
        (tenant, filter, on_lag): (TenantId, Arc<Filter>, OnLag),
        cursors: &[Cursor],
    ) -> Self {
        let follow = |cursor: &Cursor| {
            let shard = shards.iter().find(|shard| shard.id() == cursor.shard)?.clone();
            Some(Follow { shard, next: cursor.next })
        };
        let follows: Box<[Follow]> = cursors.iter().filter_map(follow).collect();
        Self { hub, tenant, filter, on_lag, follows: Vec::from(follows).into(), place: None, passed: VecDeque::new() }
    }

    /// Waits for the next step. Dropped, it has taken nothing that is not read again.
    ///
    /// # Errors
    /// [`ReadError`] when the log cannot be read.
    pub async fn next(&mut self) -> Result<Step, ReadError> {
        loop {
            if let Some(step) = self.passed.pop_front() {
                return Ok(step);
            }
            for index in 0..self.follows.len() {
                if let Some(step) = self.follows[index].step(&self.tenant, self.on_lag).await? {
                    self.follows.rotate_left(index + 1);
                    return Ok(step);
                }
            }
            self.sleep().await?;
        }
    }

    /// The next event of a shard that it has not seen.
    #[must_use]
    pub fn position(&self, shard: ShardId) -> Option<Seq> {
        self.follows.iter().find(|follow| follow.shard.id() == shard).map(|follow| follow.next)
    }

    /// Until there is something that the filter wants, or somebody has read on without this stream.
    async fn sleep(&mut self) -> Result<(), ReadError> {
        let (wake, woken) = oneshot::channel();
        let cursors = self.follows.iter().map(|follow| Cursor { shard: follow.shard.id(), next: follow.next }).collect();
        let sleeper = Sleeper { tenant: self.tenant.clone(), filter: Arc::clone(&self.filter), cursors, wake };
        let place = self.place.get_or_insert_with(|| self.hub.place(self.tenant.clone()));
        if !Box::pin(place.sleep(sleeper)).await? {
            tokio::task::yield_now().await;
            return Ok(());
        }
        let cursors = woken.await.map_err(|_gone| ReadError::Stopped)?;
        for cursor in cursors {
            self.move_on(&cursor);
        }
        Ok(())
    }

    /// Nothing that is wanted lies before the cursor.
    fn move_on(&mut self, cursor: &Cursor) {
        let Some(follow) = self.follows.iter_mut().find(|follow| follow.shard.id() == cursor.shard) else { return };
        let (shard, from, to) = (cursor.shard, follow.next, cursor.next);
        follow.next = to;
        if to.0 - from.0 >= PASSED_OVER_MAX {
            self.passed.push_back(Step::Events { shard, from, to, blocks: Vec::new() });
        }
    }
}

impl Follow {
    /// What is there now; `None` at the tail.
    async fn step(&mut self, tenant: &TenantId, on_lag: OnLag) -> Result<Option<Step>, ReadError> {
        let (shard, from) = (self.shard.id(), self.next);
        let tail = self.shard.positions().tail();
        if from >= tail {
            return Ok(None);
        }
        let step = match on_lag {
            OnLag::Drop { events } if tail.0 - from.0 > events => {
                Step::Gap { shard, from, to: tail, reason: GapReason::PassedOver }
            }
            // In a box, as going to sleep is: a stream that sleeps should not hold room for what it did before.
            OnLag::CatchUp | OnLag::Drop { .. } => Box::pin(self.read(tenant)).await?,
        };
        self.next = match &step {
            Step::Events { to, .. } | Step::Trimmed { to, .. } | Step::Gap { to, .. } => *to,
        };
        Ok(Some(step))
    }

    async fn read(&self, tenant: &TenantId) -> Result<Step, ReadError> {
        let (shard, from) = (self.shard.id(), self.next);
        let request = ScanRequest { tenant: Some(tenant.clone()), ..ScanRequest::from(from) };
        match self.shard.read(request).await {
            Ok(page) => Ok(Step::Events { shard, from, to: page.next, blocks: page.blocks }),
            Err(ReadError::Trimmed { first }) => Ok(Step::Trimmed { shard, from, to: first }),
            Err(error) => Err(error),
        }
    }
}
