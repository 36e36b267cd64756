//! Answers on the wire. A delivery carries the log's own row bytes; only what stands around them is written here.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use watershed_schema::proto::subscribe_response::Message;
use watershed_schema::{EventBatch, Seq, ShardId, proto};

use super::filter::Filter;
use crate::refusal::Refusal;

pub(crate) fn subscribed(shards: usize, token: &[u8]) -> Bytes {
    let shards = u32::try_from(shards).unwrap_or(u32::MAX);
    encode(Message::Subscribed(proto::Subscribed { shards }), token)
}

pub(crate) fn gap(shard: ShardId, from: Seq, to: Seq, token: &[u8]) -> Bytes {
    let gap = proto::Gap { shard: u32::from(shard.0), from_seq_inclusive: from.0, to_seq_exclusive: to.0 };
    encode(Message::Gap(gap), token)
}

fn encode(message: Message, token: &[u8]) -> Bytes {
    let response = proto::SubscribeResponse { message: Some(message), resume_token: Bytes::copy_from_slice(token) };
    Bytes::from(response.encode_to_vec())
}

/// Fields of `SubscribeResponse` and `Delivery`, see `subscribe.proto`.
const DELIVERY: u32 = 2;
const TOKEN: u32 = 4;
const BATCH: u32 = 5;

pub(crate) fn delivery((shard, from, to): (ShardId, Seq, Seq), seqs: &[u64], rows: &Bytes, token: &[u8]) -> Bytes {
    let head = proto::Delivery {
        shard: u32::from(shard.0),
        from_seq_inclusive: from.0,
        to_seq_exclusive: to.0,
        seqs: seqs.to_vec(),
        batch: None,
    };
    let mut inner = head.encode_to_vec();
    bytes_field(BATCH, rows, &mut inner);
    let mut outer = Vec::with_capacity(inner.len() + token.len() + 16);
    bytes_field(DELIVERY, &inner, &mut outer);
    bytes_field(TOKEN, token, &mut outer);
    Bytes::from(outer)
}

fn bytes_field(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Sequence numbers, and their rows as an encoded `EventBatch`.
pub(crate) type Found = (Vec<u64>, Bytes);

/// Sequence numbers and rows of `[from, to)` that match, as one encoded `EventBatch`; `None` when none does.
pub(crate) fn matching(filter: &Filter, from: Seq, to: Seq, blocks: &[(Seq, Arc<EventBatch>)]) -> Result<Option<Found>, Refusal> {
    let (mut seqs, mut found) = (Vec::new(), Vec::new());
    for (first, batch) in blocks {
        let wanted = wanted(filter, from.0.saturating_sub(first.0), to.0.saturating_sub(first.0), batch)?;
        seqs.extend(wanted.iter().map(|index| first.0 + *index as u64));
        found.push((batch, wanted));
    }
    found.retain(|(_, wanted)| !wanted.is_empty());
    if found.is_empty() { Ok(None) } else { Ok(Some((seqs, joined(&found)))) }
}

fn wanted(filter: &Filter, from: u64, to: u64, batch: &EventBatch) -> Result<Vec<usize>, Refusal> {
    let damaged = |error: watershed_schema::wire::Malformed| Refusal::Internal(format!("row in the log: {error}"));
    let inside = |index: &usize| (from..to).contains(&(*index as u64));
    let mut values = Vec::new();
    let mut wanted = Vec::new();
    for index in (0..batch.len()).filter(inside) {
        if filter.is_everything() || filter.matches(&batch.row(index), &mut values).map_err(damaged)? {
            wanted.push(index);
        }
    }
    Ok(wanted)
}

/// One `EventBatch` of several.
fn joined(found: &[(&Arc<EventBatch>, Vec<usize>)]) -> Bytes {
    if let [(batch, wanted)] = found
        && wanted.len() == batch.len()
    {
        return batch.body().clone();
    }
    let parts: Vec<_> = found.iter().map(|(batch, wanted)| (batch.as_ref(), wanted.as_slice())).collect();
    EventBatch::join(&parts)
}
