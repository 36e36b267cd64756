//! A run of events of one tenant: non-empty, within limits, checked once at birth.

mod builder;
pub(crate) mod identity;
mod join;
mod sealed;
mod texts;

use std::ops::Range;

use bytes::Bytes;

pub use builder::{BatchBuilder, Shared};
pub use sealed::OpenError;
pub use texts::FILTERED;

use crate::row::Row;
use crate::wire::{Fields, Malformed, Raw};
use crate::writer::SHARED_FIELD;
use crate::{TenantId, limits, proto};

/// Encoded events with what can be known without reading them.
///
/// `body` is an encoded [`proto::EventBatch`]; any protobuf library can read it.
#[derive(Clone, Debug)]
pub struct EventBatch {
    tenant: TenantId,
    header: proto::BatchHeader,
    body: Bytes,
    shared: Vec<Range<usize>>,
    rows: Vec<RowPlace>,
    /// What [`Self::id_hashes`] says, where that was known when the batch was made; else empty.
    ids: Vec<u128>,
    texts: texts::Texts,
}

#[derive(Clone, Debug)]
struct RowPlace {
    own: Range<usize>,
    shared: Option<usize>,
}

/// Why bytes are no batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// No events.
    #[error("batch has no events")]
    Empty,
    /// Too many events.
    #[error("batch has {0} events, limit {max}", max = limits::BATCH_ROWS_MAX)]
    TooManyRows(usize),
    /// Too many bytes.
    #[error("batch has {0} bytes, limit {max}", max = limits::BATCH_BYTES_MAX)]
    TooManyBytes(usize),
    /// Too many bytes for readers: each event repeats what it shares.
    #[error("batch has {0} bytes with shared parts repeated, limit {max}", max = limits::BATCH_UNFOLDED_BYTES_MAX)]
    TooManyUnfoldedBytes(usize),
    /// Not protobuf, or not our message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// An event lacks a required column.
    #[error("event {row} lacks {column}")]
    Lacks {
        /// Index in the batch.
        row: usize,
        /// Name of the column.
        column: &'static str,
    },
}

impl EventBatch {
    /// Checks bytes from outside: an encoded [`proto::EventBatch`].
    ///
    /// # Errors
    /// [`BatchError`] when they are no such message, too big, empty, or an event lacks id, type, name or time.
    pub fn decode(tenant: TenantId, body: Bytes) -> Result<Self, BatchError> {
        let index = Index::of(&body)?;
        let (header, ids) = builder::header_of(&tenant, &body, &index)?;
        Ok(Self { tenant, header, body, shared: index.shared, rows: index.rows, ids, texts: texts::Texts::default() })
    }

    /// Owner of the events.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Count, time range, types, keys.
    #[must_use]
    pub fn header(&self) -> &proto::BatchHeader {
        &self.header
    }

    /// The encoded [`proto::EventBatch`].
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Bytes that it takes in memory: beside the body where each event stands, its id's hash, and where its texts do that
    /// filters look at ([`Self::texts`]), as soon as somebody looks.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let events = self.rows.capacity() * size_of::<RowPlace>() + self.rows.len() * texts::EVENT_BYTES;
        let ids = self.ids.capacity() * size_of::<u128>();
        self.body.len() + self.shared.capacity() * size_of::<Range<usize>>() + events + ids
    }

    /// Number of events, at least 1.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Never true; here because `len` is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One event.
    ///
    /// # Panics
    /// When `index` is not below [`Self::len`].
    #[must_use]
    pub fn row(&self, index: usize) -> Row<'_> {
        row_at(&self.body, &self.shared, &self.rows[index])
    }

    /// All events in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        self.rows.iter().map(|place| row_at(&self.body, &self.shared, place))
    }

    /// A batch of some of the events, in the given order; `None` for none.
    ///
    /// # Panics
    /// When an index is not below [`Self::len`].
    #[must_use]
    pub fn select(&self, indexes: &[usize]) -> Option<Self> {
        builder::select(self, indexes)
    }

    /// Rows of several batches as one encoded `EventBatch`.
    ///
    /// # Panics
    /// When an index is not below the batch's [`Self::len`].
    #[must_use]
    pub fn join(parts: &[(&Self, &[usize])]) -> Bytes {
        join::join(parts)
    }
}

fn row_at<'a>(body: &'a [u8], shared: &[Range<usize>], place: &RowPlace) -> Row<'a> {
    Row { shared: place.shared.map(|index| &body[shared[index].clone()]), own: &body[place.own.clone()] }
}

/// Where everything stands in a body.
pub(crate) struct Index {
    shared: Vec<Range<usize>>,
    rows: Vec<RowPlace>,
}

impl Index {
    fn of(body: &[u8]) -> Result<Self, Malformed> {
        let mut index = Self { shared: Vec::new(), rows: Vec::new() };
        let mut fields = Fields::new(body);
        while let Some((field, raw)) = fields.next_field()? {
            let Raw::Bytes(message) = raw else { return Err(Malformed("batch field is no message")) };
            let end = body.len() - fields.remaining();
            index.note(field, end - message.len()..end, message)?;
        }
        let known = index.shared.len();
        let dangling = index.rows.iter().any(|row| row.shared.is_some_and(|shared| shared >= known));
        if dangling { Err(Malformed("shared part does not exist")) } else { Ok(index) }
    }

    fn note(&mut self, field: u32, place: Range<usize>, message: &[u8]) -> Result<(), Malformed> {
        match field {
            1 => self.shared.push(place),
            2 => self.rows.push(RowPlace { own: place, shared: shared_of(message)? }),
            _ => {}
        }
        Ok(())
    }
}

fn shared_of(message: &[u8]) -> Result<Option<usize>, Malformed> {
    let mut fields = Fields::new(message);
    while let Some((field, raw)) = fields.next_field()? {
        if let (SHARED_FIELD, Raw::Varint(number)) = (field, raw) {
            return Ok(usize::try_from(number).ok().and_then(|number| number.checked_sub(1)));
        }
    }
    Ok(None)
}
