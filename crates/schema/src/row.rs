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
    #[inline]
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

    /// Whether both are the same to the last bit.
    pub(crate) fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Value::Float(one), Value::Float(other)) => one.to_bits() == other.to_bits(),
            (one, other) => one == other,
        }
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
    /// By field number. With the kind: the registry's lines lie far apart.
    slots: [(u8, Kind); 192],
}

const ABSENT: u8 = u8::MAX;
const CACHE_LINE: usize = 64;

impl Projection {
    /// Reads `columns`, in this order; at most 177, each once.
    #[must_use]
    pub fn new(columns: &[Column]) -> Self {
        let mut slots = [(ABSENT, Kind::Bytes); 192];
        for (slot, column) in (0u8..).zip(columns) {
            slots[usize::from(column.id())] = (slot, column.kind());
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
        self.slot(u32::from(column.id())).map(|(slot, _)| slot)
    }

    #[inline]
    fn slot(&self, field: u32) -> Option<(usize, Kind)> {
        let (slot, kind) = *self.slots.get(usize::try_from(field).ok()?)?;
        (slot != ABSENT).then_some((usize::from(slot), kind))
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

    /// Brings the row's own part into the processor's cache: these reads do not wait for each other, while those of a walk
    /// do, for where a field begins is said by the one before.
    #[inline]
    pub fn touch(&self) {
        std::hint::black_box(self.own.iter().step_by(CACHE_LINE).fold(0, |sum, byte| sum ^ byte));
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
            visit(part, projection, |_| (), &mut take)?;
        }
        Ok(())
    }

    /// [`Self::visit`], on the way of a walk over many rows; one walk to a projection.
    ///
    /// # Errors
    /// [`Malformed`] when the row is not what the writer wrote.
    pub fn visit_next(
        &self,
        projection: &Projection,
        walk: &mut Walk<'a>,
        mut take: impl FnMut(usize, Value<'a>),
    ) -> Result<(), Malformed> {
        walk.share(self.shared, projection)?;
        let mut columns = walk.shared_columns;
        walk.shared_values.iter().for_each(|(slot, value)| take(*slot, *value));
        visit(self.own, projection, |field| columns.insert(field), &mut take)?;
        walk.columns = columns;
        Ok(())
    }

    /// What is the row's own.
    pub(crate) fn visit_own(&self, projection: &Projection, take: &mut impl FnMut(usize, Value<'a>)) -> Result<(), Malformed> {
        visit(self.own, projection, |_| (), take)
    }
}

/// Some columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColumnSet([u64; 3]);

impl ColumnSet {
    #[inline]
    fn insert(&mut self, field: u32) {
        if let Some(word) = self.0.get_mut((field / u64::BITS) as usize) {
            *word |= 1 << (field % u64::BITS);
        }
    }

    /// Adds those of another set.
    pub fn extend(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, more)| *word |= more);
    }

    /// Whether a column is among them.
    #[must_use]
    pub fn contains(&self, column: Column) -> bool {
        let field = u32::from(column.id());
        self.0.get((field / u64::BITS) as usize).is_some_and(|word| word >> (field % u64::BITS) & 1 == 1)
    }
}

/// A walk over many rows: those beside each other mostly have one shared part, which is read once for all of them.
#[derive(Debug, Default)]
pub struct Walk<'a> {
    shared: Option<&'a [u8]>,
    shared_values: Vec<(usize, Value<'a>)>,
    shared_columns: ColumnSet,
    columns: ColumnSet,
}

impl<'a> Walk<'a> {
    /// Columns of the row that was visited last, wanted or not.
    #[must_use]
    pub fn columns(&self) -> ColumnSet {
        self.columns
    }

    /// What the part shared by the last rows says, each column once.
    pub(crate) fn shared_values(&self) -> &[(usize, Value<'a>)] {
        &self.shared_values
    }

    /// Reads a shared part unless it is the one that was read last. Whether it is another.
    pub(crate) fn share(&mut self, part: Option<&'a [u8]>, projection: &Projection) -> Result<bool, Malformed> {
        let is_same = match (self.shared, part) {
            // The same bytes in the same place.
            (Some(last), Some(part)) => std::ptr::eq(last, part),
            (last, part) => last.is_none() && part.is_none(),
        };
        if is_same {
            return Ok(false);
        }
        (self.shared, self.shared_columns) = (None, ColumnSet::default());
        self.shared_values.clear();
        let (columns, values) = (&mut self.shared_columns, &mut self.shared_values);
        visit(part.unwrap_or_default(), projection, |field| columns.insert(field), &mut |slot, value| match values
            .iter_mut()
            .find(|(other, _)| *other == slot)
        {
            Some(before) => before.1 = value,
            None => values.push((slot, value)),
        })?;
        self.shared = part;
        Ok(true)
    }
}

#[inline(always)]
fn visit<'a>(
    part: &'a [u8],
    projection: &Projection,
    mut note: impl FnMut(u32),
    take: &mut impl FnMut(usize, Value<'a>),
) -> Result<(), Malformed> {
    let mut fields = Fields::new(part);
    while let Some((field, raw)) = fields.next_field()? {
        note(field);
        if let Some((slot, kind)) = projection.slot(field) {
            take(slot, Value::of(kind, raw)?);
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchBuilder, EventBatch, TenantId};

    /// Two shared parts in turn, and a row without.
    fn batch() -> EventBatch {
        let mut builder = BatchBuilder::new(TenantId::default(), 0);
        let parts = ["a", "b"].map(|service| {
            builder.shared(|part| {
                part.str(Column::ServiceName, service);
                part.str(Column::Ns, "shared");
            })
        });
        for (number, shared) in [Some(parts[0]), Some(parts[0]), Some(parts[1]), None, Some(parts[1])].into_iter().enumerate() {
            builder.row(shared, |row| {
                row.str(Column::Id, &format!("id-{number}"));
                row.str(Column::EventType, "log");
                row.str(Column::EventName, "n");
                row.int(Column::Timestamp, 1);
                if number == 1 {
                    row.str(Column::Ns, "own");
                }
            });
        }
        builder.finish().expect("rows")
    }

    #[test]
    fn a_walk_says_of_each_row_what_a_visit_says() {
        let (batch, projection) = (batch(), Projection::new(&[Column::Id, Column::ServiceName, Column::Ns]));
        let (mut walk, mut seen) = (Walk::default(), Vec::new());
        for row in batch.rows() {
            let (mut walked, mut visited) = (Vec::new(), Vec::new());
            row.visit_next(&projection, &mut walk, |slot, value| walked.push((slot, value))).expect("whole");
            row.visit(&projection, |slot, value| visited.push((slot, value))).expect("whole");
            assert_eq!(walked, visited);
            seen.push([Column::EventName, Column::ServiceName, Column::TraceId].map(|column| walk.columns().contains(column)));
        }
        let (with, without) = ([true, true, false], [true, false, false]);
        assert_eq!(seen, [with, with, with, without, with]);
    }
}
