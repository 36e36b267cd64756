//! Rows to columns: Arrow record batches with a projection.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::wire::Malformed;
use crate::{Column, EventBatch, Kind, Projection, Seq, ShardId, Value, payload};

/// Time zone of every time column, as Iceberg's `timestamptz` spells UTC in Arrow.
pub const UTC: &str = "+00:00";

/// Arrow type of a column.
#[must_use]
pub fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Text | Kind::Json | Kind::Payload => DataType::Utf8,
        Kind::Int => DataType::Int64,
        Kind::Int32 => DataType::Int32,
        Kind::Float => DataType::Float64,
        Kind::Bool => DataType::Boolean,
        Kind::Bytes => DataType::Binary,
        Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
    }
}

/// Arrow schema of some columns, in this order; each field carries its id for Parquet (`PARQUET:field_id`).
#[must_use]
pub fn schema_of(columns: &[Column]) -> SchemaRef {
    let field = |column: &Column| {
        let id = [("PARQUET:field_id".to_owned(), column.id().to_string())];
        Field::new(column.name(), data_type(column.kind()), !column.required()).with_metadata(id.into())
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// Collects rows as columns.
#[derive(Debug)]
pub struct ColumnsBuilder {
    projection: Projection,
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    rows: usize,
}

impl ColumnsBuilder {
    /// Collects these columns; `_shard` and `_seq` are filled in.
    #[must_use]
    pub fn new(columns: &[Column]) -> Self {
        Self {
            projection: Projection::new(columns),
            schema: schema_of(columns),
            columns: columns.iter().map(|column| ColumnBuilder::new(column.kind())).collect(),
            rows: 0,
        }
    }

    /// Rows collected so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Adds those events of a batch that `keep` wants; `first_seq` is the number of the batch's first event.
    ///
    /// # Errors
    /// [`Malformed`] when the batch is damaged.
    pub fn append(
        &mut self,
        shard: ShardId,
        first_seq: Seq,
        batch: &EventBatch,
        mut keep: impl FnMut(usize) -> bool,
    ) -> Result<(), Malformed> {
        let mut values = Vec::with_capacity(self.columns.len());
        for (index, row) in batch.rows().enumerate().filter(|(index, _)| keep(*index)) {
            row.project(&self.projection, &mut values)?;
            let seq = (first_seq.0 + index as u64).cast_signed();
            for ((column, builder), value) in self.projection.columns().iter().zip(&mut self.columns).zip(&values) {
                builder.push(place(*column, shard, seq).or(*value))?;
            }
            self.rows += 1;
        }
        Ok(())
    }

    /// The collected rows; the builder is empty afterwards.
    pub fn finish(&mut self) -> RecordBatch {
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        let columns = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .expect("invariant: builders follow the schema and required columns are checked at birth")
    }
}

fn place(column: Column, shard: ShardId, seq: i64) -> Option<Value<'static>> {
    match column {
        Column::Shard => Some(Value::Int(i64::from(shard.0))),
        Column::Sequence => Some(Value::Int(seq)),
        _ => None,
    }
}

#[derive(Debug)]
enum ColumnBuilder {
    Text(StringBuilder),
    Payload(StringBuilder, String),
    Int(Int64Builder),
    Int32(Int32Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Bytes(BinaryBuilder),
    Time(TimestampMicrosecondBuilder),
}

impl ColumnBuilder {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text | Kind::Json => Self::Text(StringBuilder::new()),
            Kind::Payload => Self::Payload(StringBuilder::new(), String::new()),
            Kind::Int => Self::Int(Int64Builder::new()),
            Kind::Int32 => Self::Int32(Int32Builder::new()),
            Kind::Float => Self::Float(Float64Builder::new()),
            Kind::Bool => Self::Bool(BooleanBuilder::new()),
            Kind::Bytes => Self::Bytes(BinaryBuilder::new()),
            Kind::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone(UTC)),
        }
    }

    fn push(&mut self, value: Option<Value<'_>>) -> Result<(), Malformed> {
        match (self, value) {
            (Self::Text(builder), Some(Value::Text(text))) => builder.append_value(text),
            (Self::Payload(builder, scratch), Some(Value::Payload(bytes))) => {
                scratch.clear();
                payload::to_json(bytes, scratch)?;
                builder.append_value(&scratch);
            }
            (Self::Int(builder), Some(Value::Int(number))) => builder.append_value(number),
            (Self::Int32(builder), Some(Value::Int(number))) => {
                builder.append_value(i32::try_from(number).map_err(|_outside| Malformed("32-bit column out of range"))?);
            }
            (Self::Float(builder), Some(Value::Float(number))) => builder.append_value(number),
            (Self::Bool(builder), Some(Value::Bool(truth))) => builder.append_value(truth),
            (Self::Bytes(builder), Some(Value::Bytes(bytes))) => builder.append_value(bytes),
            (Self::Time(builder), Some(Value::Int(micros))) => builder.append_value(micros),
            (builder, _) => builder.push_null(),
        }
        Ok(())
    }

    fn push_null(&mut self) {
        match self {
            Self::Text(builder) | Self::Payload(builder, _) => builder.append_null(),
            Self::Int(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Float(builder) => builder.append_null(),
            Self::Bool(builder) => builder.append_null(),
            Self::Bytes(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) | Self::Payload(builder, _) => Arc::new(builder.finish()),
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Float(builder) => Arc::new(builder.finish()),
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Bytes(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
        }
    }
}
