//! Columns of one file, a batch at a time, as the table has them.
//!
//! A batch of texts is a view of the pages that it was decoded from, and an open reader keeps the page that it is in. Who may
//! not hold so much lets the reader rest and copies what it got.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;

use super::source::{Batch, Batches, Chunks, Source};
use crate::LakeError;

/// Columns of one file; what the file is too old to have is empty.
pub(crate) struct Reader<'a> {
    source: &'a Source,
    chunks: &'a Chunks,
    columns: &'a [(i32, FieldRef)],
    /// Where the next batch begins.
    batch: Batch,
    open: Option<Open>,
}

/// Of each column its place in a batch, and the batches.
type Open = (Vec<Option<usize>>, Batches);

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a Source, chunks: &'a Chunks, columns: &'a [(i32, FieldRef)], batch: Batch) -> Self {
        Self { source, chunks, columns, batch, open: None }
    }

    /// The next rows.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<ArrayRef>>, LakeError> {
        let (places, batches) = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(opened(self.source, self.chunks, self.columns, self.batch)?),
        };
        for batch in batches.by_ref() {
            let batch = batch?;
            if batch.num_rows() > 0 {
                self.batch.from_row += batch.num_rows();
                let column = |(place, (_, field)): (&Option<usize>, &(i32, FieldRef))| match place {
                    Some(place) => as_type(batch.column(*place), field),
                    None => Ok(new_null_array(field.data_type(), batch.num_rows())),
                };
                return Ok(Some(places.iter().zip(self.columns).map(column).collect::<Result<_, _>>()?));
            }
        }
        Ok(None)
    }

    /// Lets go of the page that it is in; the next batch decodes that once more.
    pub(crate) fn rest(&mut self) {
        self.open = None;
    }
}

fn opened(source: &Source, chunks: &Chunks, columns: &[(i32, FieldRef)], batch: Batch) -> Result<Open, LakeError> {
    let ids: Vec<i32> = columns.iter().map(|(id, _)| *id).collect();
    source.read(chunks, &ids, batch)
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

/// The same values without the pages that they are views of.
pub(crate) fn copied(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => Arc::clone(column),
    }
}
