//! What a subscription wants, and how far it has come.

use bytes::Bytes;
use watershed_schema::proto;
use watershed_schema::proto::subscribe_response::Message;

use crate::continuity::Continuity;
use crate::subscription::{Item, Lost};
use crate::{Error, Event, Filter, OnLag, Start};

/// A subscription that goes on where it was, on whatever connection.
#[derive(Debug)]
pub(crate) struct Position {
    filter: Filter,
    start: Start,
    on_lag: OnLag,
    continuity: Continuity,
}

impl Position {
    pub(crate) fn new(filter: Filter, start: Start, on_lag: OnLag) -> Self {
        Self { filter, start, on_lag, continuity: Continuity::default() }
    }

    /// What to ask for to go on.
    pub(crate) fn request(&self) -> proto::SubscribeRequest {
        proto::SubscribeRequest {
            filter: Some(self.filter.clone()),
            start: Some(self.start.clone().into()),
            on_lag: self.on_lag.into(),
        }
    }

    /// Checks a message, remembers its token, and makes an item of it unless it only sets up the stream.
    pub(crate) fn take(&mut self, response: proto::SubscribeResponse) -> Result<Option<Item>, Error> {
        let resume_token = response.resume_token;
        let item = match response.message.ok_or(Error::Protocol("an empty message"))? {
            Message::Subscribed(_) => None,
            Message::Delivery(delivery) => Some(self.delivered(delivery, resume_token.clone())?),
            Message::Gap(gap) => Some(self.gap(&gap, resume_token.clone())?),
        };
        if !resume_token.is_empty() {
            self.start = Start::Token(resume_token);
        }
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
        let lost = Lost { seqs: lost, reason: gap.reason() };
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
