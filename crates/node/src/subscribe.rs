//! A subscription: where it starts, what it wants, what it is told.

mod filter;
mod message;
mod start;
mod token;

use futures::stream::{self, Stream as FuturesStream};
use tonic::Status;
use watershed_actors::{Cursor, Node, Step, Subscriber};
use watershed_schema::{Seq, ShardId, TenantId, proto};

use crate::drain::Drain;
use crate::refusal::Refusal;
use filter::Filter;
pub(crate) use token::Tokens;

use bytes::Bytes;

/// Events of a shard that may be passed over, because none is wanted, before the client is told: as many are read again when
/// it resumes.
const PASSED_OVER_MAX: u64 = 10_000;

/// An open subscription.
pub(crate) struct Stream {
    subscriber: Subscriber,
    filter: Filter,
    filter_hash: u64,
    tokens: Tokens,
    /// Behind what the client was told last.
    cursors: Vec<Cursor>,
    /// What comes next, before anything else is read.
    waiting: Option<Step>,
}

impl Stream {
    pub(crate) async fn open(
        node: &Node,
        tokens: &Tokens,
        tenant: TenantId,
        asked: proto::SubscribeRequest,
    ) -> Result<Self, Refusal> {
        let wanted = asked.filter.unwrap_or_default();
        let filter_hash = filter::hash(&tenant, &wanted);
        let filter = Filter::new(&wanted)?;
        let cursors = start::cursors(node, &tenant, asked.start, |token| tokens.read(token, filter_hash)).await?;
        let started = node.subscribe(tenant, cursors.clone()).await;
        let subscriber = started.map_err(|error| Refusal::Unavailable(error.to_string()))?;
        Ok(Self { subscriber, filter, filter_hash, tokens: tokens.clone(), cursors, waiting: None })
    }

    /// The messages, each with the token behind it; ends with `UNAVAILABLE` when the node drains.
    pub(crate) fn messages(self, drain: Drain) -> impl FuturesStream<Item = Result<Bytes, Status>> + Send + 'static {
        let first = message::subscribed(self.cursors.len(), &self.token());
        let rest = stream::unfold(Some((self, drain)), |state| async move {
            let (mut stream, drain) = state?;
            let next = tokio::select! {
                biased;
                () = drain.begun() => Err(Refusal::Unavailable("the node is draining, resume elsewhere".to_owned())),
                next = stream.next() => next,
            };
            match next {
                Ok(message) => Some((Ok(message), Some((stream, drain)))),
                Err(refusal) => Some((Err(Status::from(refusal)), None)),
            }
        });
        futures::StreamExt::chain(stream::once(async move { Ok(first) }), rest)
    }

    /// The next message that has something to say. What was passed over is covered by it: to the client, a step that does
    /// not begin where the last ended is a hole.
    async fn next(&mut self) -> Result<Bytes, Refusal> {
        loop {
            match self.step().await? {
                // What was passed over before it is not lost.
                Step::Gap { shard, from, to } if self.at(shard) != from => {
                    self.waiting = Some(Step::Gap { shard, from, to });
                    return Ok(self.deliver(shard, from, &[], &Bytes::new()));
                }
                Step::Gap { shard, from, to } => {
                    self.advance(shard, to);
                    return Ok(message::gap(shard, from, to, &self.token()));
                }
                Step::Events { shard, from, to, blocks } => match message::matching(&self.filter, from, to, &blocks)? {
                    Some((seqs, rows)) => return Ok(self.deliver(shard, to, &seqs, &rows)),
                    None if to.0 - self.at(shard).0 >= PASSED_OVER_MAX => {
                        return Ok(self.deliver(shard, to, &[], &Bytes::new()));
                    }
                    None => {}
                },
            }
        }
    }

    async fn step(&mut self) -> Result<Step, Refusal> {
        match self.waiting.take() {
            Some(step) => Ok(step),
            None => self.subscriber.next().await.map_err(|error| Refusal::Unavailable(error.to_string())),
        }
    }

    /// Everything since the last message about the shard, up to `to`.
    fn deliver(&mut self, shard: ShardId, to: Seq, seqs: &[u64], rows: &Bytes) -> Bytes {
        let from = self.at(shard);
        self.advance(shard, to);
        message::delivery((shard, from, to), seqs, rows, &self.token())
    }

    fn at(&self, shard: ShardId) -> Seq {
        let cursor = self.cursors.iter().find(|cursor| cursor.shard == shard);
        cursor.expect("invariant: a step is of a shard that is followed").next
    }

    fn advance(&mut self, shard: ShardId, to: Seq) {
        if let Some(cursor) = self.cursors.iter_mut().find(|cursor| cursor.shard == shard) {
            cursor.next = to;
        }
    }

    fn token(&self) -> Vec<u8> {
        self.tokens.write(&self.cursors, self.filter_hash)
    }
}
