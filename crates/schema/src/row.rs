//! Reading a row without decoding it: "give me these columns".

use crate::wire::{Fields, Malformed, Raw};
use crate::{Column, Kind};

/// A value of one column, borrowed from the batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// `Text` and `Json` columns.
    Text(&'a str),
    /// `Int`, `Int32` and `Time` columns.
    Int(i64),
    /// `Float` columns.
    Float(f64),
    /// `Bool` columns.
    Bool(bool),
    /// `Bytes` columns.
    Bytes(&'a [u8]),
    /// `Payload` columns: an encoded [`crate::proto::Payload`]; see [`crate::payload`].
    Payload(&'a [u8]),
}

impl<'a> Value<'a> {
    fn of(kind: Kind, raw: Raw<'a>) -> Result<Self, Malformed> {
        Ok(match (kind, raw) {
            (Kind::Text | Kind::Json, Raw::Bytes(bytes)) => Value::Text(crate::wire::text(bytes)?),
            (Kind::Payload, Raw::Bytes(bytes)) => Value::Payload(bytes),
            (Kind::Bytes, Raw::Bytes(bytes)) => Value::Bytes(bytes),
            (Kind::Int | Kind::Int32 | Kind::Time, Raw::Varint(number)) => Value::Int(number.cast_signed()),
            (Kind::Float, Raw::Fixed64(bits)) => Value::Float(f64::from_bits(bits)),
            (Kind::Bool, Raw::Varint(number)) => Value::Bool(number != 0),
            _ => return Err(Malformed("wire type does not fit the column")),
        })
    }

    /// The text of a text value.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number of an integer or time value.
    #[must_use]
    pub fn as_int(self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }
}

/// Which columns to read, and where each goes.
#[derive(Clone, Debug)]
pub struct Projection {
    columns: Vec<Column>,
    slots: [u8; 192],
}

const ABSENT: u8 = u8::MAX;

impl Projection {
    /// Reads `columns`, in this order; at most 177, each once.
    #[must_use]
    pub fn new(columns: &[Column]) -> Self {
        let mut slots = [ABSENT; 192];
        for (slot, column) in (0u8..).zip(columns) {
            slots[usize::from(column.id())] = slot;
        }
        Self { columns: columns.to_vec(), slots }
    }

    /// The columns in order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Where a column's value goes.
    #[must_use]
    pub fn place(&self, column: Column) -> Option<usize> {
        self.slot(u32::from(column.id()))
    }

    fn slot(&self, field: u32) -> Option<usize> {
        let slot = *self.slots.get(usize::try_from(field).ok()?)?;
        (slot != ABSENT).then_some(usize::from(slot))
    }
}

/// One event: what it shares with others, merged with what is its own.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Encoded shared part, if any.
    pub shared: Option<&'a [u8]>,
    /// Encoded own part; its fields win.
    pub own: &'a [u8],
}

impl<'a> Row<'a> {
    /// How long it is with its shared part, encoded.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.own.len() + self.shared.map_or(0, <[u8]>::len)
    }

    /// One column.
    ///
    /// # Errors
    /// [`Malformed`] when the row is not what the writer wrote.
    pub fn get(&self, column: Column) -> Result<Option<Value<'a>>, Malformed> {
        let own = find(self.own, column)?;
        match (own, self.shared) {
            (None, Some(shared)) => find(shared, column),
            _ => Ok(own),
        }
    }

    /// Fills `values` (cleared first) with one value for each column of the projection.
    ///
    /// # Errors
    /// [`Malformed`] when the row is not what the writer wrote.
    pub fn project(&self, projection: &Projection, values: &mut Vec<Option<Value<'a>>>) -> Result<(), Malformed> {
        values.clear();
        values.resize(projection.columns.len(), None);
        self.visit(projection, |slot, value| values[slot] = Some(value))
    }

    /// Calls `take` with every field that the projection wants and its place there; of one column the last wins.
    ///
    /// # Errors
    /// [`Malformed`] when the row is not what the writer wrote.
    pub fn visit(&self, projection: &Projection, mut take: impl FnMut(usize, Value<'a>)) -> Result<(), Malformed> {
        for part in self.shared.into_iter().chain([self.own]) {
            let mut fields = Fields::new(part);
            while let Some((field, raw)) = fields.next_field()? {
                if let Some(slot) = projection.slot(field) {
                    take(slot, Value::of(projection.columns[slot].kind(), raw)?);
                }
            }
        }
        Ok(())
    }
}

fn find(part: &[u8], column: Column) -> Result<Option<Value<'_>>, Malformed> {
    let mut fields = Fields::new(part);
    while let Some((field, raw)) = fields.next_field()? {
        if field == u32::from(column.id()) {
            return Value::of(column.kind(), raw).map(Some);
        }
    }
    Ok(None)
}
