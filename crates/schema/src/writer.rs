//! The typed writer: one row straight into the batch's bytes, each byte touched once.

use crate::batch::identity::{self, Identity};
use crate::wire;
use crate::{Column, Kind};

/// Field of [`crate::proto::Event`] that names the shared part.
pub(crate) const SHARED_FIELD: u32 = 1000;

/// What the header and the filters need to know of a row, collected while it is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) timestamp_us: Option<i64>,
    pub(crate) types: u32,
    pub(crate) trace: Option<u64>,
    pub(crate) session: Option<u64>,
    pub(crate) name: Option<u64>,
    pub(crate) identity: Identity,
}

/// Writes the columns of one event (or of a shared part).
///
/// Each column at most once. `id` first: readers that want only the id stop there.
#[derive(Debug)]
pub struct EventWriter<'b> {
    pub(crate) out: &'b mut Vec<u8>,
    pub(crate) facts: &'b mut Facts,
}

impl EventWriter<'_> {
    /// A `Text` or `Json` column.
    ///
    /// # Panics
    /// When the column has another kind.
    pub fn str(&mut self, column: Column, value: &str) {
        assert!(matches!(column.kind(), Kind::Text | Kind::Json), "invariant: {} is no text column", column.name());
        self.observe(column, value);
        wire::put_bytes(self.out, u32::from(column.id()), value.as_bytes());
    }

    /// An `Int`, `Int32` or `Time` (microseconds) column.
    ///
    /// # Panics
    /// When the column has another kind.
    pub fn int(&mut self, column: Column, value: i64) {
        assert!(
            matches!(column.kind(), Kind::Int | Kind::Int32 | Kind::Time),
            "invariant: {} is no integer column",
            column.name()
        );
        if column == Column::Timestamp {
            self.facts.timestamp_us = Some(value);
        }
        wire::put_tag(self.out, u32::from(column.id()), wire::VARINT);
        wire::put_varint(self.out, value.cast_unsigned());
    }

    /// A `Float` column.
    ///
    /// # Panics
    /// When the column has another kind.
    pub fn float(&mut self, column: Column, value: f64) {
        assert!(column.kind() == Kind::Float, "invariant: {} is no float column", column.name());
        wire::put_tag(self.out, u32::from(column.id()), wire::FIXED64);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// A `Bool` column.
    ///
    /// # Panics
    /// When the column has another kind.
    pub fn bool(&mut self, column: Column, value: bool) {
        assert!(column.kind() == Kind::Bool, "invariant: {} is no boolean column", column.name());
        wire::put_tag(self.out, u32::from(column.id()), wire::VARINT);
        wire::put_varint(self.out, u64::from(value));
    }

    /// A `Bytes` column.
    ///
    /// # Panics
    /// When the column has another kind.
    pub fn bytes(&mut self, column: Column, value: &[u8]) {
        assert!(column.kind() == Kind::Bytes, "invariant: {} is no bytes column", column.name());
        wire::put_bytes(self.out, u32::from(column.id()), value);
    }

    /// A `Payload` column as JSON text.
    pub fn json(&mut self, column: Column, text: &str) {
        let mark = self.begin_payload(column);
        wire::put_bytes(self.out, 1, text.as_bytes());
        wire::end_nested(self.out, mark);
    }

    /// A `Payload` column as OTLP key-values; `fill` writes them.
    pub fn otlp(&mut self, column: Column, fill: impl FnOnce(&mut KeyValueWriter<'_>)) {
        let payload = self.begin_payload(column);
        let list = wire::begin_nested(self.out, 2);
        fill(&mut KeyValueWriter { out: self.out });
        wire::end_nested(self.out, list);
        wire::end_nested(self.out, payload);
    }

    /// A `Payload` column as an encoded [`crate::proto::Payload`], byte for byte.
    ///
    /// # Panics
    /// When the column has another kind.
    pub fn payload(&mut self, column: Column, payload: &[u8]) {
        assert!(column.kind() == Kind::Payload, "invariant: {} is no payload column", column.name());
        wire::put_bytes(self.out, u32::from(column.id()), payload);
    }

    fn begin_payload(&mut self, column: Column) -> usize {
        assert!(column.kind() == Kind::Payload, "invariant: {} is no payload column", column.name());
        wire::begin_nested(self.out, u32::from(column.id()))
    }

    fn observe(&mut self, column: Column, value: &str) {
        match column {
            Column::Id => self.facts.identity.id = Some(identity::of_id(value)),
            Column::EventSource => self.facts.identity.source = Some(identity::of_source(value)),
            Column::TraceId => self.facts.trace = Some(crate::key_hash(value)),
            Column::EventName => self.facts.name = Some(crate::name_hash(value)),
            Column::SessionId => self.facts.session = Some(crate::key_hash(value)),
            Column::EventType => self.facts.types = crate::EventType::from_word(value).map_or(0, crate::EventType::mask),
            _ => {}
        }
    }
}

/// Writes an OTLP `KeyValueList`.
#[derive(Debug)]
pub struct KeyValueWriter<'b> {
    out: &'b mut Vec<u8>,
}

impl KeyValueWriter<'_> {
    /// An encoded OTLP `KeyValue`, byte for byte.
    pub fn raw(&mut self, key_value: &[u8]) {
        wire::put_bytes(self.out, 1, key_value);
    }

    /// Text.
    pub fn str(&mut self, key: &str, value: &str) {
        self.entry(key, |out| wire::put_bytes(out, 1, value.as_bytes()));
    }

    /// Boolean.
    pub fn bool(&mut self, key: &str, value: bool) {
        self.entry(key, |out| {
            wire::put_tag(out, 2, wire::VARINT);
            wire::put_varint(out, u64::from(value));
        });
    }

    /// Integer.
    pub fn int(&mut self, key: &str, value: i64) {
        self.entry(key, |out| {
            wire::put_tag(out, 3, wire::VARINT);
            wire::put_varint(out, value.cast_unsigned());
        });
    }

    /// Double.
    pub fn float(&mut self, key: &str, value: f64) {
        self.entry(key, |out| {
            wire::put_tag(out, 4, wire::FIXED64);
            out.extend_from_slice(&value.to_le_bytes());
        });
    }

    /// Bytes.
    pub fn bytes(&mut self, key: &str, value: &[u8]) {
        self.entry(key, |out| wire::put_bytes(out, 7, value));
    }

    /// An encoded OTLP `AnyValue`, byte for byte.
    pub fn any(&mut self, key: &str, any_value: &[u8]) {
        self.entry(key, |out| out.extend_from_slice(any_value));
    }

    /// A nested list of key-values.
    pub fn object(&mut self, key: &str, fill: impl FnOnce(&mut KeyValueWriter<'_>)) {
        self.entry(key, |out| object(out, fill));
    }

    /// A list of nested key-values; `fill` is called for each.
    pub fn objects<T>(
        &mut self,
        key: &str,
        items: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut KeyValueWriter<'_>, T),
    ) {
        self.entry(key, |out| {
            let array = wire::begin_nested(out, 5);
            for item in items {
                let any = wire::begin_nested(out, 1);
                object(out, |writer| fill(writer, item));
                wire::end_nested(out, any);
            }
            wire::end_nested(out, array);
        });
    }

    fn entry(&mut self, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
        let entry = wire::begin_nested(self.out, 1);
        wire::put_bytes(self.out, 1, key.as_bytes());
        let any = wire::begin_nested(self.out, 2);
        value(self.out);
        wire::end_nested(self.out, any);
        wire::end_nested(self.out, entry);
    }
}

fn object(out: &mut Vec<u8>, fill: impl FnOnce(&mut KeyValueWriter<'_>)) {
    let list = wire::begin_nested(out, 6);
    fill(&mut KeyValueWriter { out });
    wire::end_nested(out, list);
}
