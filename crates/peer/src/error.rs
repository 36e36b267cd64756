//! What can go wrong: at the start, at a handshake, at a call.

use std::fmt;
use std::io;
use std::path::PathBuf;

use watershed_schema::NodeId;

/// Why a [`crate::Fabric`] did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is not valid.
    #[error("{field}: {fault}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is wrong, with the limit.
        fault: String,
    },
    /// The address cannot be listened at.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A certificate, key or authority cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// This process has a fabric already: the actor library's tables are process-wide.
    #[error("this process is already a node")]
    AlreadyStarted,
    /// An actor did not start.
    #[error("actor: {0}")]
    Actor(#[from] ractor::SpawnErr),
}

/// What is wrong with a file of [`crate::Security::Mtls`].
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be read.
    #[error("{}: {fault}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// It can be read, but not used.
    #[error("certificate: {0}")]
    Tls(#[from] rustls::Error),
}

/// Why one side of a handshake said no. The numbers are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RefusalCode {
    /// Another protocol version.
    Version = 1,
    /// Another cluster.
    Cluster = 2,
    /// Not the same shared secret.
    Secret = 3,
    /// The certificate is not the one of the node that was named.
    Identity = 4,
    /// A node with this number and another boot id is connected.
    Duplicate = 5,
    /// The two nodes have or make another connection, which is used.
    Superseded = 6,
    /// The node was removed from the cluster.
    Removed = 7,
    /// A node dialled itself.
    Myself = 8,
    /// Another node than the one that was dialled.
    OtherNode = 9,
    /// Something that is not a Hello.
    Malformed = 10,
    /// A reason that this version does not know.
    Other = 255,
}

impl RefusalCode {
    pub(crate) fn from_byte(byte: u8) -> Self {
        const KNOWN: [RefusalCode; 10] = [
            RefusalCode::Version,
            RefusalCode::Cluster,
            RefusalCode::Secret,
            RefusalCode::Identity,
            RefusalCode::Duplicate,
            RefusalCode::Superseded,
            RefusalCode::Removed,
            RefusalCode::Myself,
            RefusalCode::OtherNode,
            RefusalCode::Malformed,
        ];
        KNOWN.into_iter().find(|code| *code as u8 == byte).unwrap_or(Self::Other)
    }
}

/// One side of a handshake said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of reason.
    pub code: RefusalCode,
    /// The reason in words.
    pub reason: String,
}

impl Refusal {
    pub(crate) fn new(code: RefusalCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Why a connection was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The address is not `host:port`.
    #[error("address: {0}")]
    Address(String),
    /// The network said no, or the peer went away.
    #[error("{0}")]
    Network(String),
    /// TLS said no.
    #[error("TLS: {0}")]
    Tls(String),
    /// Not done within [`crate::limits::HANDSHAKE_DEADLINE`].
    #[error("no handshake within {0:?}")]
    Timeout(std::time::Duration),
    /// This node refused the peer.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The peer refused this node.
    #[error("the peer refused: {0}")]
    RefusedByPeer(Refusal),
    /// The fabric is stopping.
    #[error("this node is stopping")]
    Stopping,
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Network("the peer closed the connection during the handshake".to_owned()),
            _ => Self::Network(error.to_string()),
        }
    }
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There is no session. Nothing was sent.
    #[error("node {to} is not connected")]
    Unreachable {
        /// The node.
        to: NodeId,
    },
    /// There was no room among the bytes in flight before the deadline. Nothing was sent.
    #[error("node {to}: {limit} bytes are in flight, no room for {bytes} more before the deadline")]
    Busy {
        /// The node.
        to: NodeId,
        /// What the call needs.
        bytes: usize,
        /// What may be in flight.
        limit: usize,
    },
    /// The request is too large for this session. Nothing was sent.
    #[error("{what} of {bytes} bytes, limit {limit}")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The request was sent and has no answer: it may or may not have been carried out, or may be still.
    #[error("outcome unknown: {why}")]
    Unknown {
        /// Deadline, or end of the session.
        why: &'static str,
    },
    /// The request was carried out; the answer is larger than the room that the caller made for it.
    #[error("answer of {bytes} bytes, the caller made room for {limit}")]
    AnswerTooLarge {
        /// Size of the answer.
        bytes: usize,
        /// [`crate::Request::answer_bytes_max`].
        limit: usize,
    },
    /// The peer's service said no.
    #[error("refused: {0}")]
    Refused(String),
}

impl CallError {
    /// Whether it is certain that the peer has seen nothing of the call.
    #[must_use]
    pub fn nothing_was_sent(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } | Self::TooLarge { .. } => true,
            Self::Unknown { .. } | Self::AnswerTooLarge { .. } | Self::Refused(_) => false,
        }
    }
}
