//! One file that is written anew: which of its columns hold anything, and where their bytes are.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use bytes::{Buf as _, Bytes};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use iceberg::arrow::ArrowFileReader;
use iceberg::io::{FileMetadata, FileRead};
use iceberg::table::Table;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::properties::{DEFAULT_PAGE_SIZE, DEFAULT_WRITE_BATCH_SIZE};
use parquet::file::reader::{ChunkReader, Length};

use super::live::LiveFile;
use crate::LakeError;

/// Read from a file's end at first: what our footers take, for a row group or two.
const TAIL_BYTES: usize = 64 * 1024;
/// Chunks that lie so near to each other are read by one request.
const GAP_BYTES_MAX: u64 = 64 * 1024;
/// Requests to a file that are on their way at once.
const READS: usize = 4;
/// What a value takes beside its text or number: view, validity.
const VALUE_BYTES: i64 = 17;

pub(crate) struct Source {
    bytes: u64,
    file: Box<dyn FileRead>,
    footer: ArrowReaderMetadata,
    /// Leaves that hold anything, by Iceberg's numbers.
    leaves: HashMap<i32, usize>,
}

impl Source {
    pub(crate) async fn open(table: &Table, file: &LiveFile) -> Result<Self, LakeError> {
        let input = table.file_io().new_input(&file.path)?;
        let mut reader = ArrowFileReader::new(FileMetadata { size: file.bytes }, input.reader().await?);
        // All pages are read: where each begins need not be known, and there are thousands.
        let footer =
            ParquetMetaDataReader::new().with_prefetch_hint(Some(TAIL_BYTES)).with_page_index_policy(PageIndexPolicy::Skip);
        let footer = Arc::new(footer.load_and_finish(&mut reader, file.bytes).await?);
        let footer = ArrowReaderMetadata::try_new(footer, ArrowReaderOptions::new())?;
        // Texts stay where they were decoded to: what moves is their places.
        let options = ArrowReaderOptions::new().with_schema(as_views(footer.schema()));
        let footer = ArrowReaderMetadata::try_new(Arc::clone(footer.metadata()), options)?;
        let leaves = footer.parquet_schema().columns().iter().enumerate();
        let numbered = leaves.filter(|(_, leaf)| leaf.path().parts().len() == 1 && leaf.self_type().get_basic_info().has_id());
        let numbered = numbered.map(|(leaf, column)| (column.self_type().get_basic_info().id(), leaf));
        let groups = footer.metadata().row_groups();
        let leaves = numbered.filter(|(_, leaf)| !groups.iter().all(|group| is_empty(group.column(*leaf)))).collect();
        Ok(Self { bytes: file.bytes, file: input.reader().await?, footer, leaves })
    }

    fn groups(&self) -> &[RowGroupMetaData] {
        self.footer.metadata().row_groups()
    }

    /// Whether a column holds anything.
    pub(crate) fn holds(&self, id: i32) -> bool {
        self.leaves.contains_key(&id)
    }

    /// Rows of the file.
    pub(crate) fn rows(&self) -> usize {
        usize::try_from(self.footer.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Bytes of a column in the file.
    pub(crate) fn column_bytes(&self, id: i32) -> u64 {
        let Some(leaf) = self.leaves.get(&id) else { return 0 };
        self.groups().iter().map(|group| group.column(*leaf).byte_range().1).sum()
    }

    /// The bytes of the value that every row has, where statistics prove that there is one. They do not tell of fractions that
    /// are not a number.
    pub(crate) fn only_value(&self, id: i32) -> Option<&[u8]> {
        let leaf = self.leaves.get(&id)?;
        let mut values = self.groups().iter().map(|group| only_value(group.column(*leaf)));
        let first = values.next()??;
        values.all(|value| value == Some(first)).then_some(first)
    }

    /// About how long a page of a column is when it is decoded, at most. Parquet's writers look at a page's length once in so
    /// many rows.
    pub(crate) fn page_bytes(&self, id: i32) -> usize {
        let Some(leaf) = self.leaves.get(&id) else { return 0 };
        let page = |chunk: &ColumnChunkMetaData| {
            let rows_at_once = chunk.uncompressed_size() / chunk.num_values().max(1) * DEFAULT_WRITE_BATCH_SIZE as i64;
            chunk.uncompressed_size().min(rows_at_once + DEFAULT_PAGE_SIZE as i64)
        };
        let longest = self.groups().iter().map(|group| page(group.column(*leaf))).max();
        longest.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0)
    }

    /// Reads what the file has of these columns.
    pub(crate) async fn fetch(&self, ids: &[i32]) -> Result<Chunks, LakeError> {
        let leaves = ids.iter().filter_map(|id| self.leaves.get(id));
        let chunks = leaves.flat_map(|leaf| self.groups().iter().map(|group| group.column(*leaf).byte_range()));
        let ranges = joined(chunks.map(|(from, bytes)| from..from + bytes).collect());
        let reads: Vec<_> = ranges.into_iter().map(|range| self.part(range).boxed()).collect();
        let parts: Vec<_> = stream::iter(reads).buffered(READS).try_collect().await?;
        Ok(Chunks { parts: parts.into(), file_bytes: self.bytes })
    }

    async fn part(&self, range: Range<u64>) -> Result<(u64, Bytes), LakeError> {
        Ok((range.start, self.file.read(range).await?))
    }

    /// Rows of these columns in batches of about so many bytes; of each column its place in a batch, if the file has any.
    pub(crate) fn read(&self, chunks: &Chunks, ids: &[i32], batch: Batch) -> Result<(Vec<Option<usize>>, Batches), LakeError> {
        let mut leaves: Vec<usize> = ids.iter().filter_map(|id| self.leaves.get(id).copied()).collect();
        leaves.sort_unstable();
        let place = |id: &i32| leaves.binary_search(self.leaves.get(id)?).ok();
        let places = ids.iter().map(place).collect();
        let mask = ProjectionMask::leaves(self.footer.parquet_schema(), leaves.iter().copied());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(chunks.clone(), self.footer.clone());
        let reader = reader.with_projection(mask).with_batch_size(self.batch_rows(&leaves, batch)).with_offset(batch.from_row);
        Ok((places, reader.build()?))
    }

    fn batch_rows(&self, leaves: &[usize], batch: Batch) -> usize {
        let chunks = self.groups().iter().flat_map(|group| leaves.iter().map(|leaf| group.column(*leaf)));
        let bytes: i64 = chunks.map(|chunk| decoded(chunk) + chunk.num_values() * VALUE_BYTES).sum();
        let row_bytes = usize::try_from(bytes).unwrap_or(usize::MAX) / self.rows().max(1);
        (batch.bytes / row_bytes.max(1)).clamp(1, batch.rows_max)
    }
}

/// Rows of some columns.
pub(crate) type Batches = ParquetRecordBatchReader;

/// How much is decoded at a time, and from which row on.
#[derive(Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) from_row: usize,
    pub(crate) bytes: usize,
    pub(crate) rows_max: usize,
}

/// Bytes of a column's texts, of which pages may hold one for many rows; of numbers, those of the pages.
fn decoded(column: &ColumnChunkMetaData) -> i64 {
    column.unencoded_byte_array_data_bytes().unwrap_or_else(|| column.uncompressed_size())
}

fn is_empty(column: &ColumnChunkMetaData) -> bool {
    let nulls = column.statistics().and_then(|statistics| statistics.null_count_opt());
    nulls.is_some_and(|nulls| i64::try_from(nulls).is_ok_and(|nulls| nulls == column.num_values()))
}

fn only_value(column: &ColumnChunkMetaData) -> Option<&[u8]> {
    let statistics = column.statistics()?;
    let is_exact = statistics.min_is_exact() && statistics.max_is_exact() && statistics.null_count_opt() == Some(0);
    let (least, most) = (statistics.min_bytes_opt()?, statistics.max_bytes_opt()?);
    (is_exact && least == most).then_some(least)
}

pub(crate) fn as_views(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &FieldRef| {
        let kind = match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
            DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
            other => other.clone(),
        };
        Arc::new(Field::clone(field).with_data_type(kind))
    };
    Arc::new(Schema::new_with_metadata(schema.fields().iter().map(field).collect::<Vec<_>>(), schema.metadata().clone()))
}

/// Ranges as few requests read them.
fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end + GAP_BYTES_MAX => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// Parts of a file that are in memory.
#[derive(Clone)]
pub(crate) struct Chunks {
    parts: Arc<[(u64, Bytes)]>,
    file_bytes: u64,
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.file_bytes
    }
}

impl ChunkReader for Chunks {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let rest = self.from(start)?;
        if rest.len() < length {
            return Err(ParquetError::EOF(format!("{length} bytes at {start}: {} were read", rest.len())));
        }
        Ok(rest.slice(..length))
    }
}

impl Chunks {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let part = self.parts.partition_point(|(from, _)| *from <= start).checked_sub(1).map(|part| &self.parts[part]);
        let inside = part.and_then(|(from, bytes)| {
            let at = usize::try_from(start - from).ok().filter(|at| *at <= bytes.len())?;
            Some(bytes.slice(at..))
        });
        inside.ok_or_else(|| ParquetError::EOF(format!("byte {start} was not read")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_read_at_once() {
        let far = 200 + GAP_BYTES_MAX + 1;
        assert_eq!(joined(vec![100..200, 0..50, 150..180, far..far + 5]), [0..200, far..far + 5]);
        assert_eq!(joined(Vec::new()), []);
    }

    #[test]
    fn bytes_that_were_not_read_are_an_error() {
        let parts = vec![(10, Bytes::from_static(b"abc")), (20, Bytes::from_static(b"defg"))];
        let chunks = Chunks { parts: parts.into(), file_bytes: 30 };
        assert_eq!(chunks.get_bytes(21, 2).expect("is there"), "ef");
        for (start, length) in [(9, 1), (11, 3), (14, 1), (23, 2)] {
            assert!(chunks.get_bytes(start, length).is_err(), "{length} at {start}");
        }
    }
}
