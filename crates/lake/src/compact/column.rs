//! One column of all inputs, brought into their common order: of each input one batch is in memory, whatever its length.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, interleave};
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use super::order::Part;
use super::source::{Batch, Batches, Chunks, Source, as_views};
use crate::LakeError;
use crate::write::SLICE_ROWS;

/// What the rows of all inputs become: the table's columns of today, by Iceberg's numbers.
pub(crate) struct Target {
    fields: Vec<(i32, FieldRef)>,
}

impl Target {
    /// # Errors
    /// When a column has no number.
    pub(crate) fn new(schema: &SchemaRef) -> Result<Self, ArrowError> {
        let numbered = |field: &FieldRef| {
            let id = field.metadata().get(PARQUET_FIELD_ID_META_KEY).and_then(|id| id.parse().ok());
            Ok((id.ok_or_else(|| ArrowError::SchemaError(format!("column {} has no number", field.name())))?, Arc::clone(field)))
        };
        Ok(Self { fields: as_views(schema).fields().iter().map(numbered).collect::<Result<_, ArrowError>>()? })
    }

    pub(crate) fn fields(&self) -> &[(i32, FieldRef)] {
        &self.fields
    }

    pub(crate) fn field(&self, id: i32) -> Option<FieldRef> {
        self.fields.iter().find(|(other, _)| *other == id).map(|(_, field)| Arc::clone(field))
    }
}

/// Columns of one file, as the table has them; what the file is too old to have is empty.
pub(crate) struct Reader {
    batches: Batches,
    columns: Vec<(Option<usize>, FieldRef)>,
}

impl Reader {
    pub(crate) fn open(source: &Source, chunks: &Chunks, columns: &[(i32, FieldRef)], batch: Batch) -> Result<Self, LakeError> {
        let ids: Vec<i32> = columns.iter().map(|(id, _)| *id).collect();
        let (places, batches) = source.read(chunks, &ids, batch)?;
        let fields = columns.iter().map(|(_, field)| Arc::clone(field));
        Ok(Self { batches, columns: places.into_iter().zip(fields).collect() })
    }

    /// The next rows.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<ArrayRef>>, LakeError> {
        for batch in self.batches.by_ref() {
            let batch = batch?;
            if batch.num_rows() > 0 {
                let column = |(place, field): &(Option<usize>, FieldRef)| match place {
                    Some(place) => as_type(batch.column(*place), field),
                    None => Ok(new_null_array(field.data_type(), batch.num_rows())),
                };
                return Ok(Some(self.columns.iter().map(column).collect::<Result<_, _>>()?));
            }
        }
        Ok(None)
    }
}

fn as_type(column: &ArrayRef, field: &FieldRef) -> Result<ArrayRef, ArrowError> {
    // A value that does not fit is an error, not an empty field.
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    if column.data_type() == field.data_type() {
        Ok(Arc::clone(column))
    } else {
        cast_with_options(column, field.data_type(), &strict)
    }
}

/// One input of a column.
struct Input {
    /// None: the input has nothing in this column.
    rows: Option<Reader>,
    /// Where its batch is among the sources.
    source: usize,
    at: usize,
}

/// One column of all inputs in their common order.
pub(crate) struct Column<'a> {
    field: &'a FieldRef,
    part: &'a Part<'a>,
    place: usize,
    inputs: Vec<Input>,
    /// An empty value, then batches.
    sources: Vec<ArrayRef>,
    decoded_bytes_peak: usize,
}

/// Most rows of a batch.
const BATCH_ROWS_MAX: usize = 8_192;

impl<'a> Column<'a> {
    /// Together the batches of all inputs are about `decoded_bytes` long.
    pub(crate) fn open(
        sources: &[(&Source, &Chunks)],
        (id, field): &'a (i32, FieldRef),
        part: &'a Part<'a>,
        decoded_bytes: usize,
    ) -> Result<Self, LakeError> {
        // Half of it is what is given out.
        let bytes = decoded_bytes / (2 * sources.len().max(1));
        let mut inputs = Vec::with_capacity(sources.len());
        for ((source, chunks), from_row) in sources.iter().zip(&part.before) {
            let batch = Batch { from_row: *from_row, bytes, rows_max: BATCH_ROWS_MAX };
            let columns = [(*id, Arc::clone(field))];
            let rows = source.holds(*id).then(|| Reader::open(source, chunks, &columns, batch)).transpose()?;
            inputs.push(Input { rows, source: 0, at: 0 });
        }
        let sources = vec![new_null_array(field.data_type(), 1)];
        Ok(Self { field, part, place: 0, inputs, sources, decoded_bytes_peak: 0 })
    }

    /// The next values.
    pub(crate) fn next(&mut self) -> Result<Option<ArrayRef>, LakeError> {
        let mut picked = Vec::with_capacity(SLICE_ROWS);
        let kept = self.inputs.len() + 1;
        while picked.len() < SLICE_ROWS && self.sources.len() <= 2 * kept {
            let Some(next) = self.part.at(self.place) else { break };
            self.place += 1;
            let at = self.step(next.input)?;
            if next.is_kept {
                picked.push(at);
            }
        }
        if picked.is_empty() && self.part.at(self.place).is_none() {
            return Ok(None);
        }
        let sources: Vec<&dyn Array> = self.sources.iter().map(AsRef::as_ref).collect();
        let values = interleave(&sources, &picked)?;
        self.note(&values);
        self.forget();
        self.checked(values).map(Some)
    }

    /// Where the next row of an input is.
    fn step(&mut self, input: usize) -> Result<(usize, usize), LakeError> {
        let one = &mut self.inputs[input];
        let Some(rows) = &mut one.rows else { return Ok((0, 0)) };
        if one.source == 0 || one.at == self.sources[one.source].len() {
            let ended = || LakeError::NotCompactable(format!("column {} of a file ends before its rows do", self.field.name()));
            let batch = rows.next()?.and_then(|mut columns| columns.pop()).ok_or_else(ended)?;
            (one.source, one.at) = (self.sources.len(), 0);
            self.sources.push(batch);
        }
        one.at += 1;
        Ok((one.source, one.at - 1))
    }

    /// Frees batches that are given out.
    fn forget(&mut self) {
        let mut sources = vec![Arc::clone(&self.sources[0])];
        for input in self.inputs.iter_mut().filter(|input| input.source > 0) {
            sources.push(Arc::clone(&self.sources[input.source]));
            input.source = sources.len() - 1;
        }
        self.sources = sources;
    }

    fn note(&mut self, values: &ArrayRef) {
        let held: usize = self.sources.iter().chain([values]).map(|batch| batch.get_array_memory_size()).sum();
        self.decoded_bytes_peak = self.decoded_bytes_peak.max(held);
    }

    /// An empty value in a column that the table wants filled would be written as some other value.
    fn checked(&self, values: ArrayRef) -> Result<ArrayRef, LakeError> {
        if values.null_count() > 0 && !self.field.is_nullable() {
            return Err(LakeError::NotCompactable(format!("column {} is empty in some rows", self.field.name())));
        }
        Ok(values)
    }

    /// Most bytes of decoded values that were in memory at a time.
    pub(crate) fn decoded_bytes_peak(&self) -> usize {
        self.decoded_bytes_peak
    }
}
