//! What a node asks of another, and how it answers.

use async_trait::async_trait;
use bytes::Bytes;
use watershed_schema::NodeId;

use crate::CallError;
use crate::limits::{ANSWER_BYTES_DEFAULT, BODY_BYTES_MAX, REQUEST_OVERHEAD_BYTES, URGENT_BYTES_MAX};

/// A service says no; the reason goes to the caller, cut to [`crate::limits::REASON_BYTES_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

/// What this node answers with.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// Answers one call. Each call has a task of its own, so calls of one peer may overtake each other. The future is
    /// dropped when the caller's deadline has passed: what must not be cut in half belongs in a task of the service.
    ///
    /// # Errors
    /// [`Refused`] goes to the caller as [`CallError::Refused`].
    async fn call(&self, from: NodeId, kind: u8, group: u32, body: Bytes) -> Result<Bytes, Refused>;
}

/// One call: its words and the room that it needs on the way.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked; the meaning is the service's.
    pub kind: u8,
    /// Whom it is for inside the node; the meaning is the service's.
    pub group: u32,
    /// At most [`BODY_BYTES_MAX`].
    pub body: Bytes,
    /// Room for the answer, bytes, counted among the bytes in flight; a larger answer is an error.
    pub answer_bytes_max: usize,
    /// Does not wait behind other bytes. Body and answer at most [`URGENT_BYTES_MAX`]: for heartbeats and votes.
    pub urgent: bool,
}

impl Request {
    /// A call with room for an answer of [`ANSWER_BYTES_DEFAULT`].
    #[must_use]
    pub fn new(kind: u8, group: u32, body: Bytes) -> Self {
        Self { kind, group, body, answer_bytes_max: ANSWER_BYTES_DEFAULT, urgent: false }
    }

    /// With room for an answer of so many bytes.
    #[must_use]
    pub fn answer_bytes_max(self, answer_bytes_max: usize) -> Self {
        Self { answer_bytes_max, ..self }
    }

    /// Past the bytes that wait.
    #[must_use]
    pub fn urgent(self) -> Self {
        Self { urgent: true, ..self }
    }

    pub(crate) fn check(&self) -> Result<(), CallError> {
        let limit = if self.urgent { URGENT_BYTES_MAX } else { BODY_BYTES_MAX };
        for (what, bytes) in [("request", self.body.len()), ("room for the answer", self.answer_bytes_max)] {
            if bytes > limit {
                return Err(CallError::TooLarge { what, bytes, limit });
            }
        }
        Ok(())
    }

    /// Bytes in flight, in both directions.
    pub(crate) fn cost(&self) -> usize {
        self.body.len() + self.answer_bytes_max + REQUEST_OVERHEAD_BYTES
    }
}
