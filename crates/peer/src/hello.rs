//! The first messages of a connection: who are you, and do we belong together.
//!
//! A message is 12 bytes of head (magic, version, kind, length) and a body. Head and refusal are the same in all
//! versions, so that two nodes that do not understand each other can at least say so.

use std::fmt;

use prost::Message as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use watershed_schema::NodeId;

use crate::config::check_address;
use crate::limits::{HANDSHAKE_BYTES_MAX, REASON_BYTES_MAX};
use crate::{DialError, Refusal, RefusalCode};

/// Version of this protocol: handshake, calls and the actor library's frames together.
pub const PROTOCOL_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"WSPR";
const HEAD_BYTES: usize = 12;

/// One life of a node: drawn anew at each start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootId(pub u64);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a node says of itself. Field numbers are on the wire.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Hello {
    #[prost(string, tag = "1")]
    pub(crate) cluster: String,
    #[prost(uint64, tag = "2")]
    pub(crate) node: u64,
    #[prost(fixed64, tag = "3")]
    pub(crate) boot: u64,
    /// `host:port` under which the node can be reached.
    #[prost(string, tag = "4")]
    pub(crate) advertised: String,
    /// Number of this attempt to connect, larger than all that the dialler has seen from others.
    #[prost(uint64, tag = "5")]
    pub(crate) attempt: u64,
    /// Makes the proof of the secret different each time.
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) nonce: Vec<u8>,
    /// What the other side puts on its calls, so that they are known as its own.
    #[prost(fixed64, tag = "7")]
    pub(crate) token: u64,
    /// The cluster's random name; empty as long as the node belongs to none.
    #[prost(string, tag = "8")]
    pub(crate) cluster_id: String,
}

impl Hello {
    pub(crate) fn node(&self) -> NodeId {
        NodeId(self.node)
    }

    pub(crate) fn boot(&self) -> BootId {
        BootId(self.boot)
    }

    /// Whether this node may speak with that one; whoever dials knows whom it `expected`.
    pub(crate) fn check(&self, mine: &Self, expected: Option<NodeId>) -> Result<(), Refusal> {
        let refuse = |code, reason| Err(Refusal::new(code, reason));
        if self.cluster != mine.cluster {
            let reason = format!("node {} is of cluster {:?}, node {} of {:?}", self.node, self.cluster, mine.node, mine.cluster);
            return refuse(RefusalCode::Cluster, reason);
        }
        if !self.cluster_id.is_empty() && !mine.cluster_id.is_empty() && self.cluster_id != mine.cluster_id {
            let reason = format!(
                "node {} belongs to cluster {}, node {} to {}, both are named {:?}: one has the data folder of another cluster",
                self.node, self.cluster_id, mine.node, mine.cluster_id, mine.cluster
            );
            return refuse(RefusalCode::Cluster, reason);
        }
        if self.node == mine.node && self.boot == mine.boot {
            return refuse(RefusalCode::Myself, format!("node {} dialled itself", mine.node));
        }
        if self.node == mine.node {
            let reason =
                format!("two processes say that they are node {}: boot {} and boot {}", mine.node, self.boot(), mine.boot());
            return refuse(RefusalCode::Duplicate, reason);
        }
        if let Some(expected) = expected.filter(|expected| *expected != self.node()) {
            return refuse(RefusalCode::OtherNode, format!("node {expected} was dialled, node {} answered", self.node));
        }
        check_address(&self.advertised)
            .map_err(|fault| Refusal::new(RefusalCode::Malformed, format!("advertised address of node {}: {fault}", self.node)))
    }
}

/// A message of the handshake.
#[derive(Debug, PartialEq)]
pub(crate) enum Greeting {
    /// First from the dialler, then from the accepting side. With the bytes as they were: the proof covers them.
    Hello(Hello, Vec<u8>),
    /// Proof that the shared secret is known; empty with mTLS.
    Proof(Vec<u8>),
    /// The accepting side uses the connection from here on.
    Accepted,
    Refused(Refusal),
}

impl Greeting {
    pub(crate) fn hello(hello: &Hello) -> Self {
        Self::Hello(hello.clone(), hello.encode_to_vec())
    }

    fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Hello(_, bytes) => (1, bytes.clone()),
            Self::Proof(proof) => (2, proof.clone()),
            Self::Accepted => (3, Vec::new()),
            Self::Refused(refusal) => (4, [&[refusal.code as u8], cut(&refusal.reason, REASON_BYTES_MAX).as_bytes()].concat()),
        }
    }

    fn decode(kind: u8, body: Vec<u8>) -> Result<Self, Refusal> {
        let malformed = |reason: String| Refusal::new(RefusalCode::Malformed, reason);
        match kind {
            1 => match Hello::decode(body.as_slice()) {
                Ok(hello) => Ok(Self::Hello(hello, body)),
                Err(error) => Err(malformed(format!("hello: {error}"))),
            },
            2 => Ok(Self::Proof(body)),
            3 => Ok(Self::Accepted),
            _ => Err(malformed(format!("message of kind {kind} in the handshake"))),
        }
    }
}

/// The longest beginning of a text that has at most `bytes_max` bytes.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

pub(crate) async fn send(stream: &mut (impl AsyncWrite + Unpin), greeting: &Greeting) -> Result<(), DialError> {
    send_as(stream, PROTOCOL_VERSION, greeting).await
}

async fn send_as(stream: &mut (impl AsyncWrite + Unpin), version: u16, greeting: &Greeting) -> Result<(), DialError> {
    let (kind, body) = greeting.encode();
    let length = u32::try_from(body.len()).expect("invariant: messages of the handshake are small");
    let mut frame = Vec::with_capacity(HEAD_BYTES + body.len());
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&version.to_be_bytes());
    frame.extend_from_slice(&[kind, 0]);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&body);
    stream.write_all(&frame).await?;
    stream.flush().await?;
    Ok(())
}

/// Reads one message, and no byte more. A refusal of the peer is an error, as is what this version cannot read.
pub(crate) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Result<Greeting, DialError> {
    let mut head = [0; HEAD_BYTES];
    // Who speaks something else may say less than a head.
    stream.read_exact(&mut head[..4]).await?;
    check_magic(&head)?;
    stream.read_exact(&mut head[4..]).await?;
    let version = u16::from_be_bytes([head[4], head[5]]);
    let (kind, length) = (head[6], u32::from_be_bytes([head[8], head[9], head[10], head[11]]));
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > HANDSHAKE_BYTES_MAX {
        let reason = format!("message of {length} bytes in the handshake, limit {HANDSHAKE_BYTES_MAX}");
        return Err(DialError::Refused(Refusal::new(RefusalCode::Malformed, reason)));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    if kind == 4 {
        return Err(DialError::RefusedByPeer(refusal(&body)));
    }
    if version != PROTOCOL_VERSION {
        let reason = format!("the peer speaks protocol version {version}, this node version {PROTOCOL_VERSION}");
        return Err(DialError::Refused(Refusal::new(RefusalCode::Version, reason)));
    }
    Greeting::decode(kind, body).map_err(DialError::Refused)
}

fn check_magic(head: &[u8; HEAD_BYTES]) -> Result<(), DialError> {
    if head[..4] == MAGIC {
        return Ok(());
    }
    let reason = match head[..2] {
        [0x14..=0x17, 0x03] => "the peer speaks TLS, this node uses a shared secret",
        _ => "the peer does not speak the protocol of watershed nodes",
    };
    Err(DialError::Refused(Refusal::new(RefusalCode::Malformed, reason)))
}

fn refusal(body: &[u8]) -> Refusal {
    let (code, reason) = body.split_first().map_or((0, &[][..]), |(code, reason)| (*code, reason));
    Refusal::new(RefusalCode::from_byte(code), cut(&String::from_utf8_lossy(reason), REASON_BYTES_MAX))
}

#[cfg(test)]
mod tests;
