//! One column under construction. Rows that lack it cost nothing until the next value, or the end.

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder as _, BinaryBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, StringArray};

use super::UTC;
use crate::wire::Malformed;
use crate::{Kind, Value, payload};

#[derive(Debug)]
pub(super) enum ColumnBuilder {
    Text(StringBuilder),
    Payload(StringBuilder, Rendered),
    Int(Int64Builder),
    Int32(Int32Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Bytes(BinaryBuilder),
    Time(TimestampMicrosecondBuilder),
}

/// The last payload and its JSON: what a request says once, each of its rows has.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    payload: Vec<u8>,
    json: String,
}

impl Rendered {
    fn json(&mut self, payload: &[u8]) -> Result<&str, Malformed> {
        if self.payload != payload {
            self.payload.clear();
            self.json.clear();
            // Damaged: what is kept then is an empty payload and its JSON.
            payload::to_json(payload, &mut self.json).inspect_err(|_| self.json.clear())?;
            self.payload.extend_from_slice(payload);
        }
        Ok(&self.json)
    }
}

/// Runs an expression on the builder inside, whatever its type.
macro_rules! inside {
    ($column:expr, $builder:ident => $what:expr) => {
        match $column {
            ColumnBuilder::Text($builder) | ColumnBuilder::Payload($builder, _) => $what,
            ColumnBuilder::Int($builder) => $what,
            ColumnBuilder::Int32($builder) => $what,
            ColumnBuilder::Float($builder) => $what,
            ColumnBuilder::Bool($builder) => $what,
            ColumnBuilder::Bytes($builder) => $what,
            ColumnBuilder::Time($builder) => $what,
        }
    };
}

impl ColumnBuilder {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text | Kind::Json => Self::Text(StringBuilder::with_capacity(0, 0)),
            Kind::Payload => Self::Payload(StringBuilder::with_capacity(0, 0), Rendered::default()),
            Kind::Int => Self::Int(Int64Builder::with_capacity(0)),
            Kind::Int32 => Self::Int32(Int32Builder::with_capacity(0)),
            Kind::Float => Self::Float(Float64Builder::with_capacity(0)),
            Kind::Bool => Self::Bool(BooleanBuilder::with_capacity(0)),
            Kind::Bytes => Self::Bytes(BinaryBuilder::with_capacity(0, 0)),
            Kind::Time => Self::Time(TimestampMicrosecondBuilder::with_capacity(0).with_timezone(UTC)),
        }
    }

    /// Puts a value into a row; rows that were passed over are null.
    pub(super) fn put(&mut self, row: usize, value: Value<'_>) -> Result<(), Malformed> {
        self.pad(row);
        match (self, value) {
            (Self::Text(builder), Value::Text(text)) => builder.append_value(text),
            (Self::Payload(builder, rendered), Value::Payload(bytes)) => builder.append_value(rendered.json(bytes)?),
            (Self::Int(builder), Value::Int(number)) => builder.append_value(number),
            (Self::Int32(builder), Value::Int(number)) => {
                builder.append_value(i32::try_from(number).map_err(|_outside| Malformed("32-bit column out of range"))?);
            }
            (Self::Float(builder), Value::Float(number)) => builder.append_value(number),
            (Self::Bool(builder), Value::Bool(truth)) => builder.append_value(truth),
            (Self::Bytes(builder), Value::Bytes(bytes)) => builder.append_value(bytes),
            (Self::Time(builder), Value::Int(micros)) => builder.append_value(micros),
            _ => return Err(Malformed("wire type does not fit the column")),
        }
        Ok(())
    }

    fn pad(&mut self, rows: usize) {
        inside!(self, builder => {
            let missing = rows.saturating_sub(builder.len());
            if missing > 0 {
                builder.append_nulls(missing);
            }
        });
    }

    pub(super) fn finish(&mut self, rows: usize) -> ArrayRef {
        self.pad(rows);
        match self {
            Self::Text(builder) | Self::Payload(builder, _) => Arc::new(finish_text(builder)),
            _ => inside!(self, builder => Arc::new(builder.finish())),
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
