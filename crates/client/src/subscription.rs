//! A live stream that survives the loss of its connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{BoxStream, Stream};
use watershed_schema::proto;

use crate::backoff::Backoff;
use crate::client::Service;
use crate::position::Position;
use crate::services::subscribe_service_client::SubscribeServiceClient;
use crate::{Error, Event, Filter, GapReason, OnLag, Start};

/// What a subscription yields: matching events of one shard, or news that some are lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The shard.
    pub shard: u32,
    /// With their seqs, in order; shared parts are merged in.
    pub events: Vec<(u64, Event)>,
    /// What is not delivered.
    pub lost: Option<Lost>,
    /// Resumes behind this item.
    pub resume_token: Bytes,
}

/// Seqs of a shard that are not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Which.
    pub seqs: std::ops::Range<u64>,
    /// Why.
    pub reason: GapReason,
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
            position: Position::new(filter, start, on_lag),
            stream: None,
            backoff: Backoff::default(),
            failed: false,
        };
        Self { items: Box::pin(futures::stream::unfold(follower, Follower::step)) }
    }
}

struct Follower {
    service: SubscribeServiceClient<Service>,
    position: Position,
    stream: Option<tonic::Streaming<proto::SubscribeResponse>>,
    backoff: Backoff,
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
                    let item = self.position.take(response)?;
                    self.backoff = Backoff::default();
                    if let Some(item) = item {
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
                let response = self.service.subscribe(self.position.request()).await?;
                self.stream.insert(response.into_inner())
            }
        };
        Ok(stream.message().await?)
    }

    async fn lost(&mut self) {
        self.stream = None;
        self.backoff.wait().await;
    }
}
