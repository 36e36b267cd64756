//! The columns of a window, encoded by a few threads. No column waits for another but for memory.

use std::sync::{Mutex, PoisonError};
use std::thread;

use arrow::array::{Array as _, ArrayRef, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, FieldRef};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter};

use super::column::Column;
use super::memory::{Memory, Plan};
use super::order::Part;
use super::reader::{Reader, copied};
use super::source::{Batch, Chunks, Source};
use crate::LakeError;
use crate::part_file::{nans_of, write};

/// Rows that are written at a time where all are the same.
const SAME_ROWS: usize = 1 << 14;

/// A window of columns: of all inputs, their bytes of these columns.
pub(crate) struct Window<'a> {
    pub(crate) inputs: Vec<(&'a Source, &'a Chunks)>,
    pub(crate) part: &'a Part<'a>,
    pub(crate) decoded_bytes_max: usize,
}

/// A column on its way into the file.
pub(crate) struct Encoded {
    pub(crate) chunk: ArrowColumnChunk,
    /// Values that are not a number, in a column of fractions.
    pub(crate) nans: Option<u64>,
    pub(crate) decoded_bytes_peak: usize,
}

/// One column, and who writes it.
type Job<'a> = (&'a (i32, FieldRef), ArrowColumnWriter);

impl Window<'_> {
    /// Encodes these columns; they come back in their order.
    pub(crate) fn encode(&self, jobs: Vec<Job<'_>>, threads: usize) -> Result<Vec<Encoded>, LakeError> {
        let mut jobs: Vec<_> = jobs.into_iter().enumerate().collect();
        // Popped from the end: the longest first, so that none is left to one thread while the others have nothing to do.
        jobs.sort_by_key(|(_, ((id, _), _))| self.bytes(*id));
        let (jobs, done, memory) = (Mutex::new(jobs), Mutex::new(Vec::new()), Memory::new(self.decoded_bytes_max));
        let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let work = || {
            while let Some((place, job)) = next() {
                let encoded = self.encode_one(job, &memory);
                done.lock().unwrap_or_else(PoisonError::into_inner).push((place, encoded));
            }
        };
        thread::scope(|scope| {
            (1..threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(place, _)| *place);
        done.into_iter().map(|(_, encoded)| encoded).collect()
    }

    fn bytes(&self, id: i32) -> u64 {
        self.inputs.iter().map(|(source, _)| source.column_bytes(id)).sum()
    }

    fn encode_one(&self, (column, mut writer): Job<'_>, memory: &Memory) -> Result<Encoded, LakeError> {
        let (id, field) = column;
        if let Some(value) = self.only_value(column)? {
            return self.encode_same(field, &value, writer);
        }
        let plan = Plan::of(self.inputs.iter().map(|(source, _)| *source), *id, self.decoded_bytes_max);
        let _taken = memory.take(plan.bytes_max);
        let (mut values, mut nans) = (Column::open(&self.inputs, column, self.part, plan), is_fraction(field).then_some(0));
        while let Some(slice) = values.next()? {
            nans.iter_mut().for_each(|nans| *nans += nans_of(&slice));
            write(&mut writer, field, &slice)?;
        }
        Ok(Encoded { chunk: writer.close()?, nans, decoded_bytes_peak: values.decoded_bytes_peak() })
    }

    /// What is in every row of all inputs, as one row: nothing, or one value. None: rows differ, or nobody knows.
    fn only_value(&self, column: &(i32, FieldRef)) -> Result<Option<ArrayRef>, LakeError> {
        let (id, field) = column;
        if !self.inputs.iter().any(|(source, _)| source.holds(*id)) {
            return Ok(Some(new_null_array(field.data_type(), 1)));
        }
        let Some((source, chunks)) = self.inputs.first() else { return Ok(None) };
        let value = source.only_value(*id);
        let is_same = value.is_some() && self.inputs.iter().all(|(source, _)| source.only_value(*id) == value);
        if !is_same || is_fraction(field) {
            return Ok(None);
        }
        let first = Batch { from_row: 0, bytes: 0, rows_max: 1 };
        let row = Reader::new(source, chunks, std::slice::from_ref(column), first).next()?;
        Ok(row.and_then(|mut columns| columns.pop()).map(|column| copied(&column)))
    }

    /// A column with the same in every row.
    fn encode_same(&self, field: &FieldRef, row: &ArrayRef, mut writer: ArrowColumnWriter) -> Result<Encoded, LakeError> {
        if row.null_count() > 0 && !field.is_nullable() {
            return Err(LakeError::NotCompactable(format!("column {} is empty in all files", field.name())));
        }
        let rows = interleave(&[row.as_ref()], &vec![(0, 0); SAME_ROWS.min(self.part.rows)])?;
        for from in (0..self.part.rows).step_by(SAME_ROWS) {
            write(&mut writer, field, &rows.slice(0, SAME_ROWS.min(self.part.rows - from)))?;
        }
        Ok(Encoded { chunk: writer.close()?, nans: is_fraction(field).then_some(0), decoded_bytes_peak: 0 })
    }
}

fn is_fraction(field: &FieldRef) -> bool {
    field.data_type() == &DataType::Float64
}
