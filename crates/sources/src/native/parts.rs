//! The parts of a client's batch, counted before one is decoded.

use prost::Message as _;
use watershed_schema::limits::BATCH_ROWS_MAX;
use watershed_schema::wire::{Fields, Malformed, Raw};
use watershed_schema::{BatchError, proto};

use crate::{Fault, InvalidRequest};

/// Encoded events of an `EventBatch`.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) shared: Vec<&'a [u8]>,
    pub(super) events: Vec<&'a [u8]>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(batch: &'a [u8]) -> Result<Self, InvalidRequest> {
        let mut parts = Self::default();
        let mut fields = Fields::new(batch);
        while let Some((field, raw)) = fields.next_field()? {
            match (field, raw) {
                (1, Raw::Bytes(part)) => parts.shared.push(part),
                (2, Raw::Bytes(part)) => parts.events.push(part),
                (1 | 2, _) => return Err(Malformed("wire type does not fit the field").into()),
                _ => {}
            }
            // A part that no event names has no use: there are never more of them than events.
            let most = parts.events.len().max(parts.shared.len());
            if most > BATCH_ROWS_MAX {
                return Err(BatchError::TooManyRows(most).into());
            }
        }
        Ok(parts)
    }
}

/// One of them.
pub(super) fn event(part: &[u8]) -> Result<proto::Event, InvalidRequest> {
    proto::Event::decode(part).map_err(|error| InvalidRequest::Undecodable(error.to_string()))
}

/// What the door needs to know of a shared part.
pub(super) struct Common {
    pub(super) id: Option<String>,
    pub(super) event_type: Option<String>,
    pub(super) event_name: Option<String>,
    pub(super) timestamp: Option<i64>,
    pub(super) bytes: usize,
    /// Why no event can share it.
    pub(super) fault: Option<Fault>,
}

impl Common {
    pub(super) fn of(event: &proto::Event) -> Self {
        Self {
            id: event.id.clone(),
            event_type: event.event_type.clone(),
            event_name: event.event_name.clone(),
            timestamp: event.timestamp,
            bytes: event.encoded_len(),
            fault: None,
        }
    }
}
