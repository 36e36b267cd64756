//! One column under construction. Rows that lack it cost nothing until the next value, or the end.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder as _, BinaryBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, StringArray};

use super::UTC;
use crate::payload::Renderer;
use crate::wire::Malformed;
use crate::{Kind, Value};

#[derive(Debug)]
pub(super) struct ColumnBuilder {
    /// Rows that have a value or are known to have none.
    rows: usize,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Text(StringBuilder),
    Payload(StringBuilder, Box<Renderer>),
    Int(Int64Builder),
    Int32(Int32Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Bytes(BinaryBuilder),
    Time(TimestampMicrosecondBuilder),
}

/// Runs an expression on the builder inside, whatever its type.
macro_rules! inside {
    ($column:expr, $builder:ident => $what:expr) => {
        match $column {
            Values::Text($builder) | Values::Payload($builder, _) => $what,
            Values::Int($builder) => $what,
            Values::Int32($builder) => $what,
            Values::Float($builder) => $what,
            Values::Bool($builder) => $what,
            Values::Bytes($builder) => $what,
            Values::Time($builder) => $what,
        }
    };
}

const UNFIT: Malformed = Malformed("wire type does not fit the column");

impl Values {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text | Kind::Json => Self::Text(StringBuilder::with_capacity(0, 0)),
            Kind::Payload => Self::Payload(StringBuilder::with_capacity(0, 0), Box::default()),
            Kind::Int => Self::Int(Int64Builder::with_capacity(0)),
            Kind::Int32 => Self::Int32(Int32Builder::with_capacity(0)),
            Kind::Float => Self::Float(Float64Builder::with_capacity(0)),
            Kind::Bool => Self::Bool(BooleanBuilder::with_capacity(0)),
            Kind::Bytes => Self::Bytes(BinaryBuilder::with_capacity(0, 0)),
            Kind::Time => Self::Time(TimestampMicrosecondBuilder::with_capacity(0).with_timezone(UTC)),
        }
    }

    #[inline]
    fn append(&mut self, value: Value<'_>) -> Result<(), Malformed> {
        match (self, value) {
            (Self::Text(builder), Value::Text(text)) => builder.append_value(text),
            (Self::Payload(builder, renderer), Value::Payload(bytes)) => builder.append_value(renderer.json(bytes)?),
            (Self::Int(builder), Value::Int(number)) => builder.append_value(number),
            (Self::Int32(builder), Value::Int(number)) => builder.append_value(narrow(number)?),
            (Self::Float(builder), Value::Float(number)) => builder.append_value(number),
            (Self::Bool(builder), Value::Bool(truth)) => builder.append_value(truth),
            (Self::Bytes(builder), Value::Bytes(bytes)) => builder.append_value(bytes),
            (Self::Time(builder), Value::Int(micros)) => builder.append_value(micros),
            _ => return Err(UNFIT),
        }
        Ok(())
    }

    fn append_many(&mut self, count: usize, value: Value<'_>) -> Result<(), Malformed> {
        match (self, value) {
            (Self::Text(builder), Value::Text(text)) => (0..count).for_each(|_| builder.append_value(text)),
            (Self::Payload(builder, renderer), Value::Payload(bytes)) => {
                let json = renderer.json(bytes)?;
                (0..count).for_each(|_| builder.append_value(json));
            }
            (Self::Int(builder), Value::Int(number)) => builder.append_value_n(number, count),
            (Self::Int32(builder), Value::Int(number)) => builder.append_value_n(narrow(number)?, count),
            (Self::Time(builder), Value::Int(micros)) => builder.append_value_n(micros, count),
            (values, value) => (0..count).try_for_each(|_| values.append(value))?,
        }
        Ok(())
    }
}

fn narrow(number: i64) -> Result<i32, Malformed> {
    i32::try_from(number).map_err(|_outside| Malformed("32-bit column out of range"))
}

impl ColumnBuilder {
    pub(super) fn new(kind: Kind) -> Self {
        Self { rows: 0, values: Values::new(kind) }
    }

    /// Puts a value into a row; rows that were passed over are null.
    #[inline]
    pub(super) fn put(&mut self, row: usize, value: Value<'_>) -> Result<(), Malformed> {
        self.pad(row);
        self.rows = row + 1;
        self.values.append(value)
    }

    /// Puts a value into each of these rows.
    pub(super) fn put_run(&mut self, rows: Range<usize>, value: Value<'_>) -> Result<(), Malformed> {
        if rows.is_empty() {
            return Ok(());
        }
        self.pad(rows.start);
        self.rows = rows.end;
        self.values.append_many(rows.len(), value)
    }

    #[inline]
    fn pad(&mut self, rows: usize) {
        if let Some(missing) = rows.checked_sub(self.rows).filter(|missing| *missing > 0) {
            self.rows = rows;
            inside!(&mut self.values, builder => builder.append_nulls(missing));
        }
    }

    pub(super) fn finish(&mut self, rows: usize) -> ArrayRef {
        self.pad(rows);
        self.rows = 0;
        match &mut self.values {
            Values::Text(builder) | Values::Payload(builder, _) => Arc::new(finish_text(builder)),
            values => inside!(values, builder => Arc::new(builder.finish())),
        }
    }
}

/// The next rows have about as much text: room for it is made at once.
fn finish_text(builder: &mut StringBuilder) -> StringArray {
    let (rows, bytes) = (builder.len(), builder.values_slice().len());
    let finished = builder.finish();
    *builder = StringBuilder::with_capacity(rows, bytes + bytes / 8);
    finished
}
