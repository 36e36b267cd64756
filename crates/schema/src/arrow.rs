//! Rows to columns: Arrow record batches with a projection.

mod column;
mod runs;

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::wire::Malformed;
use crate::{Column, EventBatch, Kind, Projection, Row, Seq, ShardId, Value, Walk};
use column::ColumnBuilder;
use runs::Runs;

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
        mut keep: impl FnMut(usize, &Row<'_>) -> bool,
    ) -> Result<(), Malformed> {
        let rows = batch.rows().enumerate().filter(|(index, row)| keep(*index, row));
        self.extend(rows.map(|(index, row)| (shard, Seq(first_seq.0 + index as u64), row)))
    }

    /// Adds events with their places.
    ///
    /// # Errors
    /// [`Malformed`] when a row is damaged; the builder is of no use then.
    pub fn extend<'a>(&mut self, rows: impl IntoIterator<Item = (ShardId, Seq, Row<'a>)>) -> Result<(), Malformed> {
        let Self { projection, columns, .. } = self;
        let (shard_slot, seq_slot) = (projection.place(Column::Shard), projection.place(Column::Sequence));
        let (mut own, mut walk, mut runs) = (Own::new(columns.len()), Walk::default(), Runs::new(columns.len()));
        let mut rows = rows.into_iter();
        let mut next = rows.next();
        while let Some((shard, seq, row)) = next {
            next = rows.next();
            next.iter().for_each(|(_, _, row)| row.touch());
            if walk.share(row.shared, projection)? {
                runs.turn(self.rows, walk.shared_values(), columns)?;
            }
            row.visit_own(projection, &mut |slot, value| own.take(slot, value))?;
            shard_slot.into_iter().for_each(|slot| own.take(slot, Value::Int(i64::from(shard.0))));
            seq_slot.into_iter().for_each(|slot| own.take(slot, Value::Int(seq.0.cast_signed())));
            for (slot, value) in own.drain() {
                runs.pass(self.rows, slot, columns)?;
                columns[slot].put(self.rows, value)?;
            }
            self.rows += 1;
        }
        runs.turn(self.rows, &[], columns)
    }

    /// The collected rows; the builder is empty afterwards.
    pub fn finish(&mut self) -> RecordBatch {
        let rows = std::mem::take(&mut self.rows);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let columns = self.columns.iter_mut().map(|column| column.finish(rows)).collect();
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .expect("invariant: builders follow the schema and required columns are checked at birth")
    }
}

/// What a row says itself, each column once: most are empty in most rows, so only those that a row has are touched.
struct Own<'a> {
    values: Vec<Option<Value<'a>>>,
    present: Vec<usize>,
}

impl<'a> Own<'a> {
    fn new(columns: usize) -> Self {
        Self { values: vec![None; columns], present: Vec::with_capacity(columns) }
    }

    /// Of one column the last value wins.
    #[inline]
    fn take(&mut self, slot: usize, value: Value<'a>) {
        if self.values[slot].replace(value).is_none() {
            self.present.push(slot);
        }
    }

    fn drain(&mut self) -> impl Iterator<Item = (usize, Value<'a>)> {
        let Self { values, present } = self;
        present.drain(..).filter_map(|slot| values[slot].take().map(|value| (slot, value)))
    }
}
