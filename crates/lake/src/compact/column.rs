//! One column of all inputs, brought into their common order: of each input one batch is in memory, whatever its length.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use super::held::Held;
use super::memory::Plan;
use super::order::Part;
use super::reader::{Reader, copied};
use super::source::{Batch, Chunks, Source, as_views};
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

/// One input of a column.
struct Input<'a> {
    /// None: the input has nothing in this column.
    rows: Option<Reader<'a>>,
    /// Where its batch is among the sources.
    source: usize,
    at: usize,
}

/// One column of all inputs in their common order.
pub(crate) struct Column<'a> {
    field: &'a FieldRef,
    part: &'a Part<'a>,
    place: usize,
    inputs: Vec<Input<'a>>,
    /// An empty value, then batches.
    sources: Vec<ArrayRef>,
    held: Held,
    plan: Plan,
    decoded_bytes_peak: usize,
}

/// Most rows of a batch.
const BATCH_ROWS_MAX: usize = 8_192;
/// Batches that are views of pages are short: the shorter, the fewer of them need two pages.
const SHARE_OF_VIEWS: usize = 16;
/// Batches that are copies are as long as may be, for a page is decoded once for each of them. Half is for those that are
/// given out.
const SHARE_OF_COPIES: usize = 2;

impl<'a> Column<'a> {
    pub(crate) fn open(
        sources: &[(&'a Source, &'a Chunks)],
        column: &'a (i32, FieldRef),
        part: &'a Part<'a>,
        plan: Plan,
    ) -> Self {
        let (id, field) = column;
        let share = if plan.keeps_pages { SHARE_OF_VIEWS } else { SHARE_OF_COPIES };
        let bytes = plan.bytes_max / (share * sources.len().max(1));
        let input = |((source, chunks), from_row): (&(&'a Source, &'a Chunks), &usize)| {
            let batch = Batch { from_row: *from_row, bytes, rows_max: BATCH_ROWS_MAX };
            let rows = source.holds(*id).then(|| Reader::new(source, chunks, std::slice::from_ref(column), batch));
            Input { rows, source: 0, at: 0 }
        };
        let inputs = sources.iter().zip(&part.before).map(input).collect();
        let sources = vec![new_null_array(field.data_type(), 1)];
        Self { field, part, plan, place: 0, inputs, sources, held: Held::default(), decoded_bytes_peak: 0 }
    }

    /// The next values.
    pub(crate) fn next(&mut self) -> Result<Option<ArrayRef>, LakeError> {
        let mut picked = Vec::with_capacity(SLICE_ROWS);
        let from = self.place;
        while picked.len() < SLICE_ROWS && (self.place == from || self.has_room()) {
            let Some((next, rows)) = self.part.run(self.place, SLICE_ROWS - picked.len()) else { break };
            let (source, at) = self.step(next.input, rows)?;
            self.place += at.len();
            if next.is_kept {
                // Of what an input lacks there is one row, which is empty.
                picked.extend(at.map(|row| (source, if source == 0 { 0 } else { row })));
            }
        }
        if picked.is_empty() && self.part.at(self.place).is_none() {
            return Ok(None);
        }
        let sources: Vec<&dyn Array> = self.sources.iter().map(AsRef::as_ref).collect();
        let values = interleave(&sources, &picked)?;
        self.forget();
        self.checked(values).map(Some)
    }

    fn has_room(&self) -> bool {
        self.sources.len() <= 2 * (self.inputs.len() + 1) && self.held.bytes() <= self.plan.bytes_max
    }

    /// Where the next rows of an input are: as many of them as are in one batch.
    fn step(&mut self, input: usize, rows: usize) -> Result<(usize, Range<usize>), LakeError> {
        let one = &self.inputs[input];
        if one.rows.is_none() {
            return Ok((0, 0..rows));
        }
        if one.source == 0 || one.at == self.sources[one.source].len() {
            self.read(input)?;
        }
        let one = &mut self.inputs[input];
        let from = one.at;
        one.at = self.sources[one.source].len().min(from + rows);
        Ok((one.source, from..one.at))
    }

    /// The next batch of an input.
    fn read(&mut self, input: usize) -> Result<(), LakeError> {
        let one = &mut self.inputs[input];
        let ended = || LakeError::NotCompactable(format!("column {} of a file ends before its rows do", self.field.name()));
        let rows = one.rows.as_mut().ok_or_else(ended)?;
        let batch = rows.next()?.and_then(|mut columns| columns.pop()).ok_or_else(ended)?;
        (one.source, one.at) = (self.sources.len(), 0);
        self.held.add(&batch);
        self.decoded_bytes_peak = self.decoded_bytes_peak.max(self.held.bytes());
        if self.plan.keeps_pages && self.held.bytes() <= self.plan.bytes_max {
            self.sources.push(batch);
        } else {
            rows.rest();
            self.sources.push(copied(&batch));
            self.held = Held::by(&self.sources);
        }
        Ok(())
    }

    /// Frees batches that are given out.
    fn forget(&mut self) {
        let mut sources = vec![Arc::clone(&self.sources[0])];
        for input in self.inputs.iter_mut().filter(|input| input.source > 0) {
            sources.push(Arc::clone(&self.sources[input.source]));
            input.source = sources.len() - 1;
        }
        self.held = Held::by(&sources);
        self.sources = sources;
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
