//! A subscription: where it starts, what it wants, what it is told.

mod filter;
mod message;
mod start;
mod token;

use futures::stream::{self, Stream as FuturesStream};
use tonic::Status;
use watershed_actors::{Cursor, Node, Step, Subscriber};
use watershed_schema::{TenantId, proto};

use crate::drain::Drain;
use crate::refusal::Refusal;
use filter::Filter;
pub(crate) use token::Tokens;

use bytes::Bytes;

/// An open subscription.
pub(crate) struct Stream {
    subscriber: Subscriber,
    filter: Filter,
    filter_hash: u64,
    tokens: Tokens,
    cursors: Vec<Cursor>,
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
        Ok(Self { subscriber, filter, filter_hash, tokens: tokens.clone(), cursors })
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

    /// The next message that has something to say.
    async fn next(&mut self) -> Result<Bytes, Refusal> {
        loop {
            let step = self.subscriber.next().await.map_err(|error| Refusal::Unavailable(error.to_string()))?;
            self.advance(&step);
            match step {
                Step::Gap { shard, from, to } => return Ok(message::gap(shard, from, to, &self.token())),
                Step::Events { shard, from, to, blocks } => {
                    let found = message::matching(&self.filter, from, to, &blocks)?;
                    if let Some((seqs, batch)) = found {
                        return Ok(message::delivery((shard, from, to), &seqs, &batch, &self.token()));
                    }
                }
            }
        }
    }

    fn advance(&mut self, step: &Step) {
        let (Step::Events { shard, to, .. } | Step::Gap { shard, to, .. }) = step;
        if let Some(cursor) = self.cursors.iter_mut().find(|cursor| cursor.shard == *shard) {
            cursor.next = *to;
        }
    }

    fn token(&self) -> Vec<u8> {
        self.tokens.write(&self.cursors, self.filter_hash)
    }
}
