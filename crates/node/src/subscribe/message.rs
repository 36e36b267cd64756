//! What a subscription says, and that as protobuf. A delivery carries the log's own row bytes; only what stands around them
//! is written here.

use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use watershed_schema::proto::GapReason;
use watershed_schema::proto::subscribe_response::Message as Wire;
use watershed_schema::{EventBatch, Seq, ShardId, proto};

use super::matching::Found;

/// One message, and the token that resumes behind it.
pub(crate) struct Message {
    pub(crate) told: Told,
    pub(crate) token: Vec<u8>,
}

/// What is said.
pub(crate) enum Told {
    /// The stream is set up.
    Subscribed { shards: usize },
    /// What matched of `[from, to)`, which may be nothing.
    Events { shard: ShardId, from: Seq, to: Seq, found: Vec<Found> },
    /// `[from, to)` is not delivered.
    Gap { shard: ShardId, from: Seq, to: Seq, reason: GapReason },
}

/// Fields of `SubscribeResponse` and `Delivery`, see `subscribe.proto`.
const DELIVERY: u32 = 2;
const TOKEN: u32 = 4;
const BATCH: u32 = 5;
/// Fields of `FollowResponse`.
const ID: u32 = 1;
const TOLD: u32 = 2;

impl Message {
    /// An encoded `SubscribeResponse`.
    pub(crate) fn to_proto(&self) -> Bytes {
        match &self.told {
            Told::Subscribed { shards } => {
                let shards = u32::try_from(*shards).unwrap_or(u32::MAX);
                self.encode(Wire::Subscribed(proto::Subscribed { shards }))
            }
            Told::Gap { shard, from, to, reason } => self.encode(Wire::Gap(proto::Gap {
                shard: u32::from(shard.0),
                from_seq_inclusive: from.0,
                to_seq_exclusive: to.0,
                reason: (*reason).into(),
            })),
            Told::Events { shard, from, to, found } => self.delivery((*shard, *from, *to), found),
        }
    }

    /// An encoded `FollowResponse` of the subscription with this name.
    pub(crate) fn to_proto_of(&self, id: &str) -> Bytes {
        let told = self.to_proto();
        let mut out = Vec::with_capacity(told.len() + id.len() + 16);
        bytes_field(ID, id.as_bytes(), &mut out);
        bytes_field(TOLD, &told, &mut out);
        Bytes::from(out)
    }

    fn encode(&self, message: Wire) -> Bytes {
        let response = proto::SubscribeResponse { message: Some(message), resume_token: Bytes::copy_from_slice(&self.token) };
        Bytes::from(response.encode_to_vec())
    }

    fn delivery(&self, (shard, from, to): (ShardId, Seq, Seq), found: &[Found]) -> Bytes {
        let head = proto::Delivery {
            shard: u32::from(shard.0),
            from_seq_inclusive: from.0,
            to_seq_exclusive: to.0,
            seqs: found.iter().flat_map(|one| one.wanted.iter().map(|index| one.first.0 + *index as u64)).collect(),
            batch: None,
        };
        let mut inner = head.encode_to_vec();
        bytes_field(BATCH, &joined(found), &mut inner);
        let mut outer = Vec::with_capacity(inner.len() + self.token.len() + 16);
        bytes_field(DELIVERY, &inner, &mut outer);
        bytes_field(TOKEN, &self.token, &mut outer);
        Bytes::from(outer)
    }
}

fn bytes_field(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// One `EventBatch` of several.
fn joined(found: &[Found]) -> Bytes {
    if let [one] = found
        && one.wanted.len() == one.batch.len()
    {
        return one.batch.body().clone();
    }
    let parts: Vec<_> = found.iter().map(|one| (one.batch.as_ref(), one.wanted.as_slice())).collect();
    EventBatch::join(&parts)
}
