//! What can go wrong between here and the server.

/// Why a call or a stream ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is no URL that can be called.
    #[error("endpoint {0:?} is not a valid address")]
    Endpoint(String),
    /// The tenant's name cannot be sent.
    #[error("tenant {0:?} is not a valid name")]
    Tenant(String),
    /// Nobody answers there.
    #[error("not reachable: {0}")]
    Unreachable(#[source] tonic::transport::Error),
    /// The server, or the way to it, said no.
    #[error("server answered {:?}: {}", .0.code(), .0.message())]
    Status(Box<tonic::Status>),
    /// The answer is no Arrow stream.
    #[error("result is not readable: {0}")]
    Result(#[from] arrow::error::ArrowError),
    /// The server skipped events without saying so, or sent some twice.
    #[error("shard {shard}: expected seq {expected}, got {got}")]
    Broken {
        /// Shard of the stream.
        shard: u32,
        /// What should have come.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// A message that the protocol does not know.
    #[error("server sent {0}")]
    Protocol(&'static str),
}

impl Error {
    /// Whether the same call may succeed later; a repeated publish is recognised by the events' ids.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        use tonic::Code;
        match self {
            Self::Unreachable(_) => true,
            Self::Status(status) => {
                matches!(status.code(), Code::Unavailable | Code::ResourceExhausted | Code::Aborted) || is_cut(status)
            }
            _ => false,
        }
    }

    /// Whether no server answered at all.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Status(status) => is_cut(status),
            _ => false,
        }
    }
}

/// The transport broke; a status that the server sent has no source.
fn is_cut(status: &tonic::Status) -> bool {
    std::error::Error::source(status).is_some()
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}
