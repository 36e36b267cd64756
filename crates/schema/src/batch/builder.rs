//! Building a batch row by row.

use bytes::Bytes;

use super::identity::{Identity, of_id, of_source, of_tenant};
use super::texts::Texts;
use super::{BatchError, EventBatch, Index, RowPlace};
use crate::row::Projection;
use crate::writer::{EventWriter, Facts, SHARED_FIELD};
use crate::{Column, EventType, KeyFilter, TenantId, Value, limits, proto, wire};

/// Names a shared part of the batch under construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared(usize);

/// Writes rows into a growing batch.
#[derive(Debug)]
pub struct BatchBuilder {
    tenant: TenantId,
    tenant_hash: u128,
    ids: Vec<u128>,
    body: Vec<u8>,
    index: Index,
    unfolded_bytes: usize,
    shared_facts: Vec<Facts>,
    header: proto::BatchHeader,
    keys: Vec<u64>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index({} rows)", self.rows.len())
    }
}

impl BatchBuilder {
    /// An empty batch of `tenant`; `capacity_bytes` is a guess of its size.
    #[must_use]
    pub fn new(tenant: TenantId, capacity_bytes: usize) -> Self {
        Self {
            header: empty_header(&tenant),
            tenant_hash: of_tenant(&tenant),
            tenant,
            ids: Vec::new(),
            body: Vec::with_capacity(capacity_bytes),
            index: Index { shared: Vec::new(), rows: Vec::new() },
            unfolded_bytes: 0,
            shared_facts: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Writes a part that many rows have in common. Nothing is written above the limits, see [`Self::try_row`].
    pub fn shared(&mut self, fill: impl FnOnce(&mut EventWriter<'_>)) -> Shared {
        if self.check().is_err() {
            return Shared(self.index.shared.len());
        }
        let mut facts = Facts::default();
        let mark = wire::begin_nested(&mut self.body, 1);
        fill(&mut EventWriter { out: &mut self.body, facts: &mut facts });
        wire::end_nested(&mut self.body, mark);
        self.index.shared.push(mark..self.body.len());
        self.shared_facts.push(facts);
        Shared(self.index.shared.len() - 1)
    }

    /// Writes one event. Columns written here win over those of the shared part.
    ///
    /// The row must end up with `id`, `event_type`, `event_name` and `timestamp`.
    pub fn row(&mut self, shared: Option<Shared>, fill: impl FnOnce(&mut EventWriter<'_>)) {
        let written = self.try_row(shared, |row| {
            fill(row);
            Ok::<(), std::convert::Infallible>(())
        });
        written.expect("invariant: what cannot fail did not");
    }

    /// Like [`Self::row`]; when `fill` fails, the batch is as if the event had never begun.
    ///
    /// A batch above the limits grows no further, so that a small request cannot fill the memory before it is refused:
    /// `fill` is not called, and [`Self::finish`] says which limit it is. [`Self::check`] says so earlier.
    ///
    /// # Errors
    /// That of `fill`.
    pub fn try_row<E>(
        &mut self,
        shared: Option<Shared>,
        fill: impl FnOnce(&mut EventWriter<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.check().is_err() {
            return Ok(());
        }
        let mut facts = shared.map_or_else(Facts::default, |Shared(index)| self.shared_facts[index]);
        let begin = self.body.len();
        let mark = wire::begin_nested(&mut self.body, 2);
        // In front, so that a reader that opens the batch need not walk the whole row to find it.
        if let Some(Shared(index)) = shared {
            wire::put_tag(&mut self.body, SHARED_FIELD, wire::VARINT);
            wire::put_varint(&mut self.body, index as u64 + 1);
        }
        fill(&mut EventWriter { out: &mut self.body, facts: &mut facts }).inspect_err(|_fault| self.body.truncate(begin))?;
        wire::end_nested(&mut self.body, mark);
        let shared_bytes = shared.map_or(0, |Shared(index)| self.index.shared[index].len());
        self.unfolded_bytes += shared_bytes + self.body.len() - mark;
        self.index.rows.push(RowPlace { own: mark..self.body.len(), shared: shared.map(|Shared(index)| index) });
        self.ids.push(facts.identity.hash(self.tenant_hash));
        note(&mut self.header, &mut self.keys, &facts);
        Ok(())
    }

    /// Events so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.rows.len()
    }

    /// Whether there are none yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.rows.is_empty()
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Whether the batch is still within the limits; nothing makes it fit again once it is not.
    ///
    /// # Errors
    /// [`BatchError`] for more rows or bytes than allowed.
    pub fn check(&self) -> Result<(), BatchError> {
        fits(self.index.rows.len(), self.body.len())?;
        let bytes = self.unfolded_bytes;
        if bytes > limits::BATCH_UNFOLDED_BYTES_MAX { Err(BatchError::TooManyUnfoldedBytes(bytes)) } else { Ok(()) }
    }

    /// The finished batch.
    ///
    /// # Errors
    /// [`BatchError`] for no events, or more rows or bytes than allowed.
    pub fn finish(mut self) -> Result<EventBatch, BatchError> {
        self.check()?;
        close(&mut self.header, self.keys, self.index.rows.len(), self.body.len())?;
        Ok(EventBatch {
            tenant: self.tenant,
            header: self.header,
            body: Bytes::from(self.body),
            shared: self.index.shared,
            rows: self.index.rows,
            ids: self.ids,
            texts: Texts::default(),
        })
    }
}

fn empty_header(tenant: &TenantId) -> proto::BatchHeader {
    proto::BatchHeader {
        tenant: tenant.as_str().to_owned(),
        min_timestamp_us: i64::MAX,
        max_timestamp_us: i64::MIN,
        ..Default::default()
    }
}

fn note(header: &mut proto::BatchHeader, keys: &mut Vec<u64>, facts: &Facts) {
    if let Some(timestamp) = facts.timestamp_us {
        header.min_timestamp_us = header.min_timestamp_us.min(timestamp);
        header.max_timestamp_us = header.max_timestamp_us.max(timestamp);
    }
    header.event_types |= facts.types;
    for key in [facts.trace, facts.session, facts.name].into_iter().flatten() {
        // Neighbours are often of one trace: most repeats lie within the last row's three.
        if !keys[keys.len().saturating_sub(3)..].contains(&key) {
            keys.push(key);
        }
    }
}

fn close(header: &mut proto::BatchHeader, keys: Vec<u64>, rows: usize, bytes: usize) -> Result<(), BatchError> {
    if rows == 0 {
        return Err(BatchError::Empty);
    }
    fits(rows, bytes)?;
    header.rows = u32::try_from(rows).map_err(|_outside| BatchError::TooManyRows(rows))?;
    header.body_bytes = u32::try_from(bytes).map_err(|_outside| BatchError::TooManyBytes(bytes))?;
    header.filter = KeyFilter::build(keys);
    Ok(())
}

fn fits(rows: usize, bytes: usize) -> Result<(), BatchError> {
    if bytes > limits::BATCH_BYTES_MAX {
        return Err(BatchError::TooManyBytes(bytes));
    }
    if rows > limits::BATCH_ROWS_MAX { Err(BatchError::TooManyRows(rows)) } else { Ok(()) }
}

/// The header of bytes that came from outside, with every row checked, and the hashes of their ids.
pub(super) fn header_of(tenant: &TenantId, body: &[u8], index: &Index) -> Result<(proto::BatchHeader, Vec<u128>), BatchError> {
    let everything = Projection::new(Column::ALL);
    let mut values = Vec::new();
    let (mut header, mut keys) = (empty_header(tenant), Vec::new());
    let (tenant, mut ids) = (of_tenant(tenant), Vec::with_capacity(index.rows.len()));
    for (number, place) in index.rows.iter().enumerate() {
        super::row_at(body, &index.shared, place).project(&everything, &mut values)?;
        let facts = facts_of(number, &values)?;
        ids.push(facts.identity.hash(tenant));
        note(&mut header, &mut keys, &facts);
    }
    close(&mut header, keys, index.rows.len(), body.len())?;
    Ok((header, ids))
}

fn facts_of(row: usize, values: &[Option<Value<'_>>]) -> Result<Facts, BatchError> {
    let value = |column: Column| values[usize::from(column.id()) - 1];
    let text = |column: Column| value(column).and_then(Value::as_str).ok_or(BatchError::Lacks { row, column: column.name() });
    let id = text(Column::Id)?;
    let event_type =
        EventType::from_word(text(Column::EventType)?).ok_or(BatchError::Lacks { row, column: "a known event_type" })?;
    let timestamp = value(Column::Timestamp).and_then(Value::as_int).ok_or(BatchError::Lacks { row, column: "timestamp" })?;
    Ok(Facts {
        timestamp_us: Some(timestamp),
        types: event_type.mask(),
        trace: text(Column::TraceId).ok().map(crate::key_hash),
        session: text(Column::SessionId).ok().map(crate::key_hash),
        name: Some(crate::name_hash(text(Column::EventName)?)),
        identity: Identity { id: Some(of_id(id)), source: text(Column::EventSource).ok().map(of_source) },
    })
}

pub(super) fn select(batch: &EventBatch, indexes: &[usize]) -> Option<EventBatch> {
    if indexes.is_empty() {
        return None;
    }
    let mut body = Vec::with_capacity(batch.body.len() / batch.rows.len() * (indexes.len() + 1));
    for shared in &batch.shared {
        wire::put_bytes(&mut body, 1, &batch.body[shared.clone()]);
    }
    for index in indexes {
        wire::put_bytes(&mut body, 2, &batch.body[batch.rows[*index].own.clone()]);
    }
    let selected = EventBatch::decode(batch.tenant.clone(), Bytes::from(body));
    Some(selected.expect("invariant: a part of a valid batch is valid"))
}
