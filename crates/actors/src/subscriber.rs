//! A subscriber actor: one for each stream, pulled by its consumer.
//!
//! Nothing is buffered for a slow consumer: it asks for the next step when it wants one. At the tail a step comes
//! from memory as soon as there is one, behind the tail from the log; the consumer cannot tell.

use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::time::{sleep, timeout};
use watershed_hot::ScanRequest;
use watershed_schema::{EventBatch, Seq, ShardId, TenantId};

use crate::shard::{ReadError, ShardHandle};

/// How long a shard is waited for before it is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Where a stream stands in a shard: the next event that it has not seen.
#[derive(Clone, Debug)]
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
    /// before `from`.
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
    Gap {
        /// The shard.
        shard: ShardId,
        /// First position lost.
        from: Seq,
        /// First position still here.
        to: Seq,
    },
}

/// A stream's reader. Dropping it ends the actor.
#[derive(Debug)]
pub struct Subscriber {
    actor: ActorRef<Next>,
}

struct Next(RpcReplyPort<Result<Step, ReadError>>);

impl ractor::Message for Next {}

struct SubscriberActor;

struct Follow {
    shard: ShardHandle,
    next: Seq,
}

struct Stream {
    tenant: TenantId,
    follows: Vec<Follow>,
}

impl Subscriber {
    pub(crate) async fn start(
        shards: Vec<ShardHandle>,
        tenant: TenantId,
        cursors: Vec<Cursor>,
    ) -> Result<Self, ractor::SpawnErr> {
        let follow = |cursor: Cursor| {
            let shard = shards.iter().find(|shard| shard.id() == cursor.shard)?.clone();
            Some(Follow { shard, next: cursor.next })
        };
        let follows = cursors.into_iter().filter_map(follow).collect();
        Ok(Self { actor: SubscriberActor::spawn(None, SubscriberActor, Stream { tenant, follows }).await?.0 })
    }

    /// Waits for the next step.
    ///
    /// # Errors
    /// [`ReadError`] when the log cannot be read.
    pub async fn next(&self) -> Result<Step, ReadError> {
        match self.actor.call(Next, None).await {
            Ok(CallResult::Success(step)) => step,
            Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => Err(ReadError::Stopped),
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.actor.kill();
    }
}

impl Actor for SubscriberActor {
    type Msg = Next;
    type State = Stream;
    type Arguments = Stream;

    async fn pre_start(&self, _: ActorRef<Next>, stream: Stream) -> Result<Stream, ActorProcessingErr> {
        Ok(stream)
    }

    async fn handle(&self, _: ActorRef<Next>, Next(reply): Next, stream: &mut Stream) -> Result<(), ActorProcessingErr> {
        drop(reply.send(stream.step().await));
        Ok(())
    }
}

impl Stream {
    async fn step(&mut self) -> Result<Step, ReadError> {
        loop {
            for index in 0..self.follows.len() {
                if let Some(step) = self.follows[index].step(&self.tenant).await? {
                    self.follows.rotate_left(index + 1);
                    return Ok(step);
                }
            }
            self.news().await;
        }
    }

    /// Waits until a shard has more, or a while: its replica may have moved.
    async fn news(&self) {
        let more = |follow: &Follow| {
            let (next, mut positions) = (follow.next, follow.shard.watch());
            Box::pin(async move {
                if positions.wait_for(|now| now.tail() > next).await.is_err() {
                    std::future::pending::<()>().await;
                }
            })
        };
        if self.follows.is_empty() {
            return sleep(LOOK_AGAIN).await;
        }
        drop(timeout(LOOK_AGAIN, select_all(self.follows.iter().map(more))).await);
    }
}

impl Follow {
    /// What is there now; `None` at the tail.
    async fn step(&mut self, tenant: &TenantId) -> Result<Option<Step>, ReadError> {
        let (shard, from) = (self.shard.id(), self.next);
        if from >= self.shard.positions().tail() {
            return Ok(None);
        }
        let request = ScanRequest { tenant: Some(tenant.clone()), ..ScanRequest::from(from) };
        let step = match self.shard.read(request).await {
            Ok(page) => Step::Events { shard, from, to: page.next, blocks: page.blocks },
            Err(ReadError::Trimmed { first }) => Step::Gap { shard, from, to: first },
            Err(error) => return Err(error),
        };
        self.next = match &step {
            Step::Events { to, .. } | Step::Gap { to, .. } => *to,
        };
        Ok(Some(step))
    }
}
