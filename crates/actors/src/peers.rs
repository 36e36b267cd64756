//! How a node asks others; the node's wiring fills this in.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use watershed_cluster::{Call, Transport, TransportError};
use watershed_schema::proto::{PeerPartial, PeerStates};
use watershed_schema::{GroupId, NodeId, ShardId};

use crate::ReadError;

/// What is asked beside Raft. The number is on the wire, apart from those of `RaftCall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ask {
    /// Append events to a shard; [`watershed_schema::proto::PeerAppend`].
    Append = 32,
    /// The committed tail of a shard, confirmed by a quorum; no body.
    ReadIndex = 33,
    /// Put a command into a group's log; [`watershed_schema::proto::PeerPropose`].
    Propose = 34,
    /// Change the voters of a group; [`watershed_schema::proto::PeerVoters`].
    Voters = 35,
    /// Hand a group over; [`watershed_schema::proto::PeerTransfer`].
    Transfer = 36,
    /// A new node asks for its number; [`watershed_schema::proto::JoinNode`].
    Join = 37,
    /// Committed events; [`watershed_schema::proto::PeerScan`].
    Scan = 38,
    /// Headers of batches; [`watershed_schema::proto::PeerScan`].
    Heads = 39,
    /// Where a shard stands, as soon as there is more; [`watershed_schema::proto::PeerTail`].
    Tail = 40,
    /// Where a shard stands, and which ranges wait for a snapshot; no body.
    Staged = 41,
    /// How the node's replicas are; no body.
    Replicas = 42,
    /// Keep the lake in shape, take rows out of it, or bring dead letters into it; [`watershed_schema::proto::PeerUpkeep`].
    Upkeep = 43,
    /// Stage all that is committed in the shards that the node leads; no body.
    Stage = 44,
    /// A shard's dead letters; no body.
    Letters = 48,
    /// Aggregate committed events; [`watershed_schema::proto::PeerPartial`]. Numbers below it, from 45 on, were others'.
    Partial = 47,
}

impl Ask {
    /// The question of a number from the wire.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        use Ask::{
            Append, Heads, Join, Letters, Partial, Propose, ReadIndex, Replicas, Scan, Stage, Staged, Tail, Transfer, Upkeep,
            Voters,
        };
        let shards = [Append, ReadIndex, Propose, Voters, Transfer, Join, Scan, Heads, Tail, Staged, Replicas];
        shards.into_iter().chain([Upkeep, Stage, Partial, Letters]).find(|ask| *ask as u8 == number)
    }

    /// Whether its answer may be large.
    #[must_use]
    pub fn is_bulky(self) -> bool {
        use Ask::{Heads, Letters, Partial, Replicas, Scan, Staged, Upkeep};
        matches!(self, Scan | Heads | Staged | Replicas | Upkeep | Letters | Partial)
    }
}

/// A question to another node.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is asked.
    pub ask: Ask,
    /// Of which group.
    pub group: GroupId,
    /// As `ask` says.
    pub body: Bytes,
    /// Longest time until the answer; past it the outcome is unknown.
    pub deadline: Duration,
}

/// The way to other nodes: Raft's calls, and ours.
#[async_trait]
pub trait Peers: Transport {
    /// Brings a question to [`crate::Gateway::answer`] of another node and its answer back.
    ///
    /// # Errors
    /// [`TransportError`]; only `Unreachable` and `TooLarge` say that it was not asked.
    async fn ask(&self, to: NodeId, question: Question) -> Result<Bytes, TransportError>;

    /// Where the other nodes are, as far as is known here; who has no address is gone for good and is not spoken with any
    /// more. A node that is not named may be one that this node has not heard of yet.
    async fn set_members(&self, members: BTreeMap<NodeId, Option<String>>);

    /// Whether a node answers now.
    fn is_connected(&self, node: NodeId) -> bool;
}

/// Aggregates events where they are; the node's wiring fills this in.
#[async_trait]
pub trait Aggregates: Send + Sync {
    /// States of a partial aggregate over committed events of a shard that has a replica here.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Refused`] when it cannot be done here.
    async fn states(&self, shard: ShardId, asked: PeerPartial) -> Result<PeerStates, ReadError>;
}

/// The way of a node that is alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

fn alone() -> TransportError {
    TransportError::Unreachable("this node is alone".to_owned())
}

#[async_trait]
impl Transport for Alone {
    async fn call(&self, _to: NodeId, _call: Call) -> Result<Bytes, TransportError> {
        Err(alone())
    }
}

#[async_trait]
impl Peers for Alone {
    async fn ask(&self, _to: NodeId, _question: Question) -> Result<Bytes, TransportError> {
        Err(alone())
    }

    async fn set_members(&self, _members: BTreeMap<NodeId, Option<String>>) {}

    fn is_connected(&self, _node: NodeId) -> bool {
        false
    }
}
