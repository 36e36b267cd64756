//! A live stream that survives the loss of its connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, Stream};
use watershed_schema::proto;
use watershed_schema::proto::subscribe_response::Message;

use crate::client::Service;
use crate::continuity::Continuity;
use crate::services::subscribe_service_client::SubscribeServiceClient;
use crate::{Error, Event, Filter, OnLag, Start};

const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// What a subscription yields: matching events of one shard, or news that some are lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The shard.
    pub shard: u32,
    /// With their seqs, in order; shared parts are merged in.
    pub events: Vec<(u64, Event)>,
    /// Seqs that can no longer be delivered.
    pub lost: Option<std::ops::Range<u64>>,
    /// Resumes behind this item.
    pub resume_token: Bytes,
}

/// Events as they are committed; ends only with an error.
pub struct Subscription {
    items: BoxStream<'static, Result<Item, Error>>,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscription")
    }
}

impl Stream for Subscription {
    type Item = Result<Item, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.as_mut().poll_next(context)
    }
}

impl Subscription {
    pub(crate) fn new(service: SubscribeServiceClient<Service>, filter: Filter, start: Start, on_lag: OnLag) -> Self {
        let follower = Follower {
            service,
            filter,
            start,
            on_lag,
            stream: None,
            continuity: Continuity::default(),
            backoff: BACKOFF_MIN,
            failed: false,
        };
        Self { items: Box::pin(futures::stream::unfold(follower, Follower::step)) }
    }
}

struct Follower {
    service: SubscribeServiceClient<Service>,
    filter: Filter,
    start: Start,
    on_lag: OnLag,
    stream: Option<tonic::Streaming<proto::SubscribeResponse>>,
    continuity: Continuity,
    backoff: Duration,
    failed: bool,
}

impl Follower {
    async fn step(mut self) -> Option<(Result<Item, Error>, Self)> {
        if self.failed {
            return None;
        }
        let next = self.next().await;
        self.failed = next.is_err();
        Some((next, self))
    }

    /// The next item, through as many connections as it takes.
    async fn next(&mut self) -> Result<Item, Error> {
        loop {
            match self.receive().await {
                Ok(Some(response)) => {
                    if let Some(item) = self.take(response)? {
                        return Ok(item);
                    }
                }
                Ok(None) => self.lost().await,
                Err(error) if error.is_retryable() => self.lost().await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn receive(&mut self) -> Result<Option<proto::SubscribeResponse>, Error> {
        let stream = match self.stream.take() {
            Some(stream) => self.stream.insert(stream),
            None => {
                let response = self.service.subscribe(self.request()).await?;
                self.stream.insert(response.into_inner())
            }
        };
        Ok(stream.message().await?)
    }

    fn request(&self) -> proto::SubscribeRequest {
        proto::SubscribeRequest {
            filter: Some(self.filter.clone()),
            start: Some(self.start.clone().into()),
            on_lag: self.on_lag.into(),
        }
    }

    async fn lost(&mut self) {
        self.stream = None;
        tokio::time::sleep(self.backoff).await;
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
    }

    /// Checks a message, remembers its token, and makes an item of it unless it only sets up the stream.
    fn take(&mut self, response: proto::SubscribeResponse) -> Result<Option<Item>, Error> {
        let resume_token = response.resume_token;
        let item = match response.message.ok_or(Error::Protocol("an empty message"))? {
            Message::Subscribed(_) => None,
            Message::Delivery(delivery) => Some(self.delivered(delivery, resume_token.clone())?),
            Message::Gap(gap) => Some(self.gap(&gap, resume_token.clone())?),
        };
        if !resume_token.is_empty() {
            self.start = Start::Token(resume_token);
        }
        self.backoff = BACKOFF_MIN;
        Ok(item)
    }

    fn delivered(&mut self, delivery: proto::Delivery, resume_token: Bytes) -> Result<Item, Error> {
        let shard = delivery.shard;
        let covered = delivery.from_seq_inclusive..delivery.to_seq_exclusive;
        self.continuity.advance(shard, covered, &delivery.seqs)?;
        let events = merged(delivery.batch.unwrap_or_default())?;
        if events.len() != delivery.seqs.len() {
            return Err(Error::Protocol("a delivery with more or fewer seqs than events"));
        }
        Ok(Item { shard, events: delivery.seqs.into_iter().zip(events).collect(), lost: None, resume_token })
    }

    fn gap(&mut self, gap: &proto::Gap, resume_token: Bytes) -> Result<Item, Error> {
        let lost = gap.from_seq_inclusive..gap.to_seq_exclusive;
        self.continuity.advance(gap.shard, lost.clone(), &[])?;
        Ok(Item { shard: gap.shard, events: Vec::new(), lost: Some(lost), resume_token })
    }
}

/// Events with their shared parts merged in, as protobuf merges: the event's own fields win.
fn merged(batch: proto::EventBatch) -> Result<Vec<Event>, Error> {
    let shared = batch.shared;
    batch.events.into_iter().map(|event| merge(&shared, event)).collect()
}

fn merge(shared: &[Event], mut event: Event) -> Result<Event, Error> {
    let Some(number) = event.shared.take() else { return Ok(event) };
    let index = (number as usize).wrapping_sub(1);
    let mut whole = shared.get(index).cloned().ok_or(Error::Protocol("an event whose shared part does not exist"))?;
    let own = prost::Message::encode_to_vec(&event);
    prost::Message::merge(&mut whole, own.as_slice()).map_err(|_damaged| Error::Protocol("a damaged event"))?;
    Ok(whole)
}
