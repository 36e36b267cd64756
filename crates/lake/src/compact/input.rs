//! One file of a merge, read a batch at a time, under the table's schema of today.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, FieldRef, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{Row, RowConverter, Rows};
use futures::TryStreamExt;
use iceberg::arrow::ArrowFileReader;
use iceberg::io::FileMetadata;
use iceberg::table::Table;
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use parquet::arrow::async_reader::{ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::live::LiveFile;
use crate::LakeError;

/// Most rows of a batch.
const BATCH_ROWS_MAX: usize = 1_024;
/// What a value takes beside its text or number: offset, validity.
const VALUE_BYTES: i64 = 8;
/// Buffers grow by doubling.
const GROWTH: usize = 2;

pub(crate) struct Input {
    stream: ParquetRecordBatchStream<ArrowFileReader>,
    /// Decoded rows; those below `at` are given out.
    pub(crate) batch: RecordBatch,
    keys: Rows,
    pub(crate) at: usize,
}

impl Input {
    /// Opens a file whose batches are about `decoded_bytes` long; the first one is not read yet.
    pub(crate) async fn open(table: &Table, file: &LiveFile, to: &Target, decoded_bytes: usize) -> Result<Self, LakeError> {
        let reader = table.file_io().new_input(&file.path)?.reader().await?;
        let reader = ArrowFileReader::new(FileMetadata { size: file.bytes }, reader);
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(ArrowError::from)?;
        let rows = batch_rows(builder.metadata(), decoded_bytes);
        let stream = builder.with_batch_size(rows).build().map_err(ArrowError::from)?;
        Ok(Self { stream, batch: RecordBatch::new_empty(Arc::clone(&to.schema)), keys: to.keys.empty_rows(0, 0), at: 0 })
    }

    /// Reads the next batch; whether there is one.
    pub(crate) async fn advance(&mut self, to: &Target) -> Result<bool, LakeError> {
        self.at = 0;
        loop {
            // The old batch is freed before the next one is decoded.
            self.batch = RecordBatch::new_empty(Arc::clone(&to.schema));
            let Some(read) = self.stream.try_next().await.map_err(ArrowError::from)? else { return Ok(false) };
            if read.num_rows() > 0 {
                self.batch = to.fit(&read)?;
                self.keys = to.keys_of(&self.batch)?;
                return Ok(true);
            }
        }
    }

    /// Whether every row of the batch is given out.
    pub(crate) fn is_drained(&self) -> bool {
        self.at >= self.batch.num_rows()
    }

    /// What the next row is sorted by.
    pub(crate) fn key(&self) -> Row<'_> {
        self.keys.row(self.at)
    }

    pub(crate) fn decoded_bytes(&self) -> usize {
        self.batch.get_array_memory_size() + self.keys.size()
    }
}

/// Rows that are about so many bytes, by what the file says of itself.
fn batch_rows(file: &ParquetMetaData, decoded_bytes: usize) -> usize {
    let rows: i64 = file.row_groups().iter().map(RowGroupMetaData::num_rows).sum();
    let columns = file.row_groups().iter().flat_map(RowGroupMetaData::columns);
    let bytes: i64 = columns.map(|column| decoded(column) + column.num_values() * VALUE_BYTES).sum();
    let row_bytes = usize::try_from(bytes / rows.max(1)).unwrap_or(0) * GROWTH;
    (decoded_bytes / row_bytes.max(1)).clamp(1, BATCH_ROWS_MAX)
}

/// Bytes of a column's texts, of which pages may hold one for many rows; of numbers, those of the pages.
fn decoded(column: &ColumnChunkMetaData) -> i64 {
    column.unencoded_byte_array_data_bytes().unwrap_or_else(|| column.uncompressed_size())
}

/// What the rows of all inputs become: the table's columns, and the keys by which it sorts.
pub(crate) struct Target {
    pub(crate) schema: SchemaRef,
    keys: RowConverter,
    key_columns: Vec<usize>,
}

impl Target {
    pub(crate) fn new(schema: SchemaRef, keys: RowConverter, key_columns: Vec<usize>) -> Self {
        Self { schema, keys, key_columns }
    }

    fn keys_of(&self, batch: &RecordBatch) -> Result<Rows, ArrowError> {
        let columns: Vec<_> = self.key_columns.iter().map(|column| Arc::clone(batch.column(*column))).collect();
        self.keys.convert_columns(&columns)
    }

    /// A file's columns by Iceberg's numbers; what the file is too old to have is empty.
    fn fit(&self, read: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let fields = read.schema();
        let by_id: HashMap<&str, &ArrayRef> = fields.fields().iter().zip(read.columns()).filter_map(numbered).collect();
        let column = |field: &FieldRef| match id(field).and_then(|id| by_id.get(id)) {
            Some(column) => as_type(column, field),
            None => Ok(new_null_array(field.data_type(), read.num_rows())),
        };
        RecordBatch::try_new(Arc::clone(&self.schema), self.schema.fields().iter().map(column).collect::<Result<_, _>>()?)
    }
}

fn id(field: &Field) -> Option<&str> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY).map(String::as_str)
}

fn numbered<'a>((field, column): (&'a FieldRef, &'a ArrayRef)) -> Option<(&'a str, &'a ArrayRef)> {
    Some((id(field)?, column))
}

fn as_type(column: &ArrayRef, field: &Field) -> Result<ArrayRef, ArrowError> {
    // A value that does not fit is an error, not an empty field.
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    if column.data_type() == field.data_type() {
        Ok(Arc::clone(column))
    } else {
        cast_with_options(column, field.data_type(), &strict)
    }
}
