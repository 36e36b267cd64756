//! Sorted files into one sorted stream: of each input one batch is in memory, whatever their number and length.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{SortOptions, interleave_record_batch};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{NullOrder, SortDirection};
use iceberg::table::Table;

use super::input::{Input, Target};
use super::live::LiveFile;
use crate::write::SLICE_ROWS;
use crate::{LakeError, schema};

/// Rows of several files in the table's sort order; of equal rows, those of the first file first.
pub(crate) struct Merge {
    to: Target,
    inputs: Vec<Input>,
    /// Inputs with rows left, by the key of their next row.
    order: VecDeque<usize>,
    decoded_bytes_peak: usize,
}

impl Merge {
    /// Opens files; together their batches are about `decoded_bytes` long.
    pub(crate) async fn open(table: &Table, files: &[LiveFile], decoded_bytes: usize) -> Result<Self, LakeError> {
        let to = target(table)?;
        // Half of it is what is given out.
        let share = decoded_bytes / (2 * files.len().max(1));
        let mut inputs = Vec::with_capacity(files.len());
        for file in files {
            inputs.push(Input::open(table, file, &to, share).await?);
        }
        let mut merge = Self { to, inputs, order: VecDeque::with_capacity(files.len()), decoded_bytes_peak: 0 };
        for input in 0..files.len() {
            merge.refill(input).await?;
        }
        Ok(merge)
    }

    /// The next rows.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, LakeError> {
        let mut picked = Vec::with_capacity(SLICE_ROWS);
        let mut drained = None;
        while picked.len() < SLICE_ROWS && drained.is_none() {
            let Some(input) = self.order.pop_front() else { break };
            picked.push((input, self.inputs[input].at));
            self.inputs[input].at += 1;
            if self.inputs[input].is_drained() {
                drained = Some(input);
            } else {
                self.queue(input);
            }
        }
        if picked.is_empty() {
            return Ok(None);
        }
        let batches: Vec<_> = self.inputs.iter().map(|input| &input.batch).collect();
        let slice = interleave_record_batch(&batches, &picked)?;
        let slice_bytes = slice.get_array_memory_size();
        self.note(slice_bytes);
        if let Some(input) = drained {
            self.refill(input).await?;
            self.note(slice_bytes);
        }
        Ok(Some(slice))
    }

    async fn refill(&mut self, input: usize) -> Result<(), LakeError> {
        if self.inputs[input].advance(&self.to).await? {
            self.queue(input);
        }
        Ok(())
    }

    fn queue(&mut self, input: usize) {
        let inputs = &self.inputs;
        let key = (inputs[input].key(), input);
        let at = self.order.partition_point(|other| (inputs[*other].key(), *other) < key);
        self.order.insert(at, input);
    }

    fn note(&mut self, slice_bytes: usize) {
        let held = slice_bytes + self.inputs.iter().map(Input::decoded_bytes).sum::<usize>();
        self.decoded_bytes_peak = self.decoded_bytes_peak.max(held);
    }

    /// Most bytes of decoded rows that were in memory at a time.
    pub(crate) fn decoded_bytes_peak(&self) -> usize {
        self.decoded_bytes_peak
    }
}

/// What files become that are written anew.
pub(crate) fn target(table: &Table) -> Result<Target, LakeError> {
    let columns = Arc::new(schema_to_arrow_schema(table.metadata().current_schema())?);
    let (mut keys, mut key_columns) = (Vec::new(), Vec::new());
    for sort in schema::sort_order().fields {
        let name = table.metadata().current_schema().name_by_field_id(sort.source_id);
        let column = name.map(|name| columns.index_of(name)).transpose()?;
        let column = column.ok_or_else(|| ArrowError::SchemaError(format!("the table has no column {}", sort.source_id)))?;
        let options = SortOptions {
            descending: sort.direction == SortDirection::Descending,
            nulls_first: sort.null_order == NullOrder::First,
        };
        keys.push(SortField::new_with_options(columns.field(column).data_type().clone(), options));
        key_columns.push(column);
    }
    Ok(Target::new(columns, RowConverter::new(keys)?, key_columns))
}
