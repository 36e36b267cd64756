//! The columns of a window, encoded by a few threads. No column waits for another but for memory.

use std::sync::{Mutex, PoisonError};
use std::thread;

use arrow::array::{Array as _, ArrayRef, AsArray as _, new_null_array};
use arrow::datatypes::{DataType, FieldRef, Float64Type};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};

use super::column::Column;
use super::memory::{Memory, Plan};
use super::order::Part;
use super::source::{Chunks, Source};
use crate::LakeError;

/// Rows of nothing that are written at a time.
const EMPTY_ROWS: usize = 1 << 16;

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
        let sources = self.inputs.iter().map(|(source, _)| *source);
        if !sources.clone().any(|source| source.holds(*id)) {
            return self.encode_nothing(field, writer);
        }
        let plan = Plan::of(sources, *id, self.decoded_bytes_max);
        let _taken = memory.take(plan.bytes_max);
        let (mut values, mut nans) = (Column::open(&self.inputs, column, self.part, plan), is_fraction(field).then_some(0));
        while let Some(slice) = values.next()? {
            nans.iter_mut().for_each(|nans| *nans += nans_of(&slice));
            write(&mut writer, field, &slice)?;
        }
        Ok(Encoded { chunk: writer.close()?, nans, decoded_bytes_peak: values.decoded_bytes_peak() })
    }

    /// A column in which no input has anything.
    fn encode_nothing(&self, field: &FieldRef, mut writer: ArrowColumnWriter) -> Result<Encoded, LakeError> {
        if !field.is_nullable() {
            return Err(LakeError::NotCompactable(format!("column {} is empty in all files", field.name())));
        }
        let nothing = new_null_array(field.data_type(), EMPTY_ROWS.min(self.part.rows));
        for from in (0..self.part.rows).step_by(EMPTY_ROWS) {
            write(&mut writer, field, &nothing.slice(0, EMPTY_ROWS.min(self.part.rows - from)))?;
        }
        Ok(Encoded { chunk: writer.close()?, nans: is_fraction(field).then_some(0), decoded_bytes_peak: 0 })
    }
}

fn write(writer: &mut ArrowColumnWriter, field: &FieldRef, values: &ArrayRef) -> Result<(), LakeError> {
    for leaf in compute_leaves(field, values)? {
        writer.write(&leaf)?;
    }
    Ok(())
}

fn is_fraction(field: &FieldRef) -> bool {
    field.data_type() == &DataType::Float64
}

fn nans_of(values: &ArrayRef) -> u64 {
    let values = values.as_primitive::<Float64Type>().iter().flatten();
    values.filter(|value| value.is_nan()).count() as u64
}
