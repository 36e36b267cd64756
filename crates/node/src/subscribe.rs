//! A subscription: where it starts, what it wants, what it is told. The faces only spell it.

mod draining;
mod history;
mod json;
mod limits;
mod live;
mod matching;
mod message;
mod pace;
mod session;
mod start;
mod token;

use std::sync::Arc;

use futures::stream::{self, Stream as FuturesStream};
use watershed_actors::{Cursor, Filter, Node, OnLag, Step, Subscriber};
use watershed_query::{Condition, Engine};
use watershed_schema::{Seq, ShardId, TenantId, proto};
use xxhash_rust::xxh3::xxh3_64;

use crate::drain::Drain;
use crate::refusal::Refusal;
use draining::{Source, until_drained};
use history::PastTheHotTier;
use limits::Seat;
use live::Progress;
use matching::Wanted;
use pace::Pace;

pub(crate) use json::{token_of, token_text};
pub(crate) use limits::{Limits, Seats};
pub(crate) use live::{Live, LiveAsked, LiveTold};
pub(crate) use message::{Message, Told};
pub(crate) use session::Session;
pub(crate) use token::Tokens;

/// Events of a shard that may be passed over, because none is wanted, before the client is told: as many are read again when
/// it resumes.
const PASSED_OVER_MAX: u64 = 10_000;
/// How far behind a stream may fall that asked to be moved to the tail rather than to read everything, events of a shard.
const DROP_BEHIND: u64 = 10_000;

/// What opens subscriptions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) node: Node,
    pub(crate) tokens: Tokens,
    pub(crate) drain: Drain,
    pub(crate) seats: Seats,
    pub(crate) engine: Engine,
}

/// An open subscription.
pub(crate) struct Stream {
    subscriber: Subscriber,
    history: PastTheHotTier,
    wanted: Wanted,
    filter_hash: u64,
    tokens: Tokens,
    /// Behind what the client was told last.
    cursors: Vec<Cursor>,
    /// What comes next, before anything else is read.
    waiting: Option<Step>,
    pace: Pace,
    _seat: Seat,
}

impl Streams {
    /// Opens a subscription, if there is room for one more.
    pub(crate) async fn open(&self, tenant: TenantId, asked: proto::SubscribeRequest) -> Result<Stream, Refusal> {
        self.drain.refuse_if_begun()?;
        let on_lag = match asked.on_lag() {
            proto::OnLag::CatchUp => OnLag::CatchUp,
            proto::OnLag::Drop => OnLag::Drop { events: DROP_BEHIND },
        };
        let wanted = asked.filter.unwrap_or_default();
        let filter = Filter::new(&wanted).map_err(|error| Refusal::Invalid(error.to_string()))?;
        let condition = condition(&wanted.where_sql)?;
        let needs = condition.iter().flat_map(|condition| condition.needs().iter().cloned());
        let filter = Arc::new(filter.narrowed(needs));
        let seat = self.seats.take(&tenant)?;
        let filter_hash = hash(&tenant, &wanted);
        let resume = |token: &[u8]| self.tokens.read(token, filter_hash);
        let cursors = start::Starts { streams: self, tenant: &tenant }.cursors(asked.start, resume).await?;
        let history = PastTheHotTier::new(self, &tenant, &filter);
        let subscriber = self.node.subscribe(tenant, Arc::clone(&filter), on_lag, &cursors);
        let pace = self.seats.limits().pace();
        let wanted = Wanted { filter, condition };
        let tokens = self.tokens.clone();
        Ok(Stream { subscriber, history, wanted, filter_hash, tokens, cursors, waiting: None, pace, _seat: seat })
    }
}

fn condition(text: &str) -> Result<Option<Condition>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    Condition::compile(text).map(Some).map_err(|error| Refusal::Invalid(format!("filter.where_sql: {error}")))
}

/// What a resume token is bound to: it resumes the same question only.
fn hash(tenant: &TenantId, asked: &impl prost::Message) -> u64 {
    let mut bytes = tenant.as_str().as_bytes().to_vec();
    bytes.push(0);
    bytes.extend(asked.encode_to_vec());
    xxh3_64(&bytes)
}

impl Source for Stream {
    type Told = Message;

    fn next(&mut self) -> impl Future<Output = Result<Message, Refusal>> + Send {
        self.message()
    }
}

impl Stream {
    /// The messages, each with the token behind it; ends with a refusal, when the node drains with `Unavailable`.
    pub(crate) fn messages(self, drain: Drain) -> impl FuturesStream<Item = Result<Message, Refusal>> + Send + 'static {
        let first = Message { told: Told::Subscribed { shards: self.cursors.len() }, token: self.token() };
        futures::StreamExt::chain(stream::once(async move { Ok(first) }), until_drained(self, drain))
    }

    /// The next message that has something to say. What was passed over is covered by it: to the client, a step that does
    /// not begin where the last ended is a hole.
    async fn message(&mut self) -> Result<Message, Refusal> {
        loop {
            match self.step().await? {
                Step::Trimmed { shard, from, to } => self.history.begin(shard, from, to).await?,
                // What was passed over before it is not lost.
                gap @ Step::Gap { shard, from, .. } if self.at(shard) != from => {
                    self.waiting = Some(gap);
                    return Ok(self.deliver(shard, from, Vec::new()));
                }
                Step::Gap { shard, from, to, reason } => {
                    self.advance(shard, to);
                    return Ok(Message { told: Told::Gap { shard, from, to, reason }, token: self.token() });
                }
                Step::Events { shard, from, to, blocks } => {
                    let found = self.wanted.found(shard, (from, to), blocks)?;
                    let events = found.iter().map(|one| one.wanted.len()).sum();
                    if events > 0 || to.0 - self.at(shard).0 >= PASSED_OVER_MAX {
                        self.pace.take(events).await;
                        return Ok(self.deliver(shard, to, found));
                    }
                }
            }
        }
    }

    /// Shards in which there is more than the stream begins with, as far as is known here, and how much.
    fn behind(&self, node: &Node) -> Vec<Cursor> {
        let tail = |cursor: &&Cursor| Some(node.shards().get(usize::from(cursor.shard.0))?.positions().tail());
        let ahead = |cursor: &Cursor| tail(&cursor).filter(|tail| *tail > cursor.next);
        self.cursors.iter().filter_map(|cursor| Some(Cursor { shard: cursor.shard, next: ahead(cursor)? })).collect()
    }

    /// Every step as it is read, also when nothing in it matches; ends with a refusal.
    fn steps(self, behind: Vec<Cursor>) -> impl FuturesStream<Item = Result<Progress, Refusal>> + Send + 'static {
        stream::unfold(Some((self, behind)), |state| async move {
            let (mut stream, mut behind) = state?;
            match stream.progress(&mut behind).await {
                Ok(progress) => Some((Ok(progress), Some((stream, behind)))),
                Err(refusal) => Some((Err(refusal), None)),
            }
        })
    }

    async fn progress(&mut self, behind: &mut Vec<Cursor>) -> Result<Progress, Refusal> {
        loop {
            let (shard, found, lost, to) = match self.step().await? {
                Step::Trimmed { shard, from, to } => {
                    self.history.begin(shard, from, to).await?;
                    continue;
                }
                Step::Gap { shard, from, to, .. } => (shard, Vec::new(), from..to, to),
                Step::Events { shard, from, to, blocks } => (shard, self.wanted.found(shard, (from, to), blocks)?, to..to, to),
            };
            let is_behind = |cursor: &Cursor| {
                self.history.is_reading(cursor.shard) || self.subscriber.position(cursor.shard).is_some_and(|at| at < cursor.next)
            };
            behind.retain(is_behind);
            return Ok(Progress { shard, found, lost, to, behind: behind.iter().map(|cursor| cursor.shard).collect() });
        }
    }

    async fn step(&mut self) -> Result<Step, Refusal> {
        if let Some(step) = self.waiting.take() {
            return Ok(step);
        }
        if let Some(step) = self.history.next().await? {
            return Ok(step);
        }
        self.subscriber.next().await.map_err(|error| Refusal::Unavailable(error.to_string()))
    }

    /// Everything since the last message about the shard, up to `to`.
    fn deliver(&mut self, shard: ShardId, to: Seq, found: Vec<matching::Found>) -> Message {
        let from = self.at(shard);
        self.advance(shard, to);
        Message { told: Told::Events { shard, from, to, found }, token: self.token() }
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
