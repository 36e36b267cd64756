//! How a replica reaches the others; the node fills this in.
//!
//! Knows nothing of sockets or actors: bytes to a node, bytes back.

use std::time::Duration;

use bytes::Bytes;
use watershed_schema::{GroupId, NodeId};

/// Bytes of a body that may share a session with heartbeats: what is larger is [`RaftCall::AppendBulk`].
pub const SHARED_BODY_BYTES_MAX: usize = 256 * 1024;

/// What a body is. The number is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RaftCall {
    /// Entries, at most [`SHARED_BODY_BYTES_MAX`].
    Append = 1,
    /// One entry that is larger: take the bulk connection.
    AppendBulk = 2,
    /// An append without entries: a heartbeat, or news of a commit.
    Heartbeat = 3,
    /// A candidate asks for a vote.
    Vote = 4,
    /// A node asks whether it would be elected.
    PreVote = 5,
    /// The state at a purge point, a few KB.
    Snapshot = 6,
    /// The leader names its successor.
    TransferLeader = 7,
}

impl RaftCall {
    /// The kind of a number from the wire.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        use RaftCall::{Append, AppendBulk, Heartbeat, PreVote, Snapshot, TransferLeader, Vote};
        let all = [Append, AppendBulk, Heartbeat, Vote, PreVote, Snapshot, TransferLeader];
        all.into_iter().find(|call| *call as u8 == number)
    }

    /// Whether it is tiny and must not wait behind data: it needs no byte permits.
    #[must_use]
    pub fn is_urgent(self) -> bool {
        matches!(self, Self::Heartbeat | Self::Vote | Self::PreVote | Self::TransferLeader)
    }
}

/// One call to one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The group whose replica is meant.
    pub group: GroupId,
    /// What the body is.
    pub kind: RaftCall,
    /// For [`crate::Group::receive`] of the other side; opaque in between.
    pub body: Bytes,
    /// After this time nobody waits for the answer.
    pub deadline: Duration,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Nothing was sent: there is no session with the node. The group backs off.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// It was sent, the answer is missing; it may still be carried out.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// The body is larger than what the way there takes.
    #[error("body of {bytes} bytes, limit {limit}")]
    TooLarge {
        /// The body.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The other side said no: no such group there, it stopped, or it does not understand the body.
    #[error("refused: {0}")]
    Refused(String),
}

/// The way to other nodes.
///
/// An implementation MUST carry calls of different groups and kinds independently of each other; it MAY lose, repeat
/// and reorder them: the receiving group puts appends in order. It SHOULD keep the order where it costs nothing.
#[async_trait::async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Brings the call to the node's [`crate::Group::receive`] and its answer back.
    async fn call(&self, to: NodeId, call: Call) -> Result<Bytes, TransportError>;
}

/// The transport of a node that is alone: nobody can be reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPeers;

#[async_trait::async_trait]
impl Transport for NoPeers {
    async fn call(&self, _to: NodeId, _call: Call) -> Result<Bytes, TransportError> {
        Err(TransportError::Unreachable("this node has no peers".to_owned()))
    }
}
