//! What a Parquet file says of itself: its footer with page index. Read once, then kept.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use iceberg::io::FileRead;
use parquet::arrow::async_reader::MetadataFetch;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::statistics::Statistics;
use watershed_schema::Column;

use super::Pinned;
use crate::LakeError;

/// Read from a file's end at first: what our footers take with their page index, for a row group or two.
const TAIL_BYTES: usize = 128 * 1024;

impl Pinned {
    /// The footer of a file of `size` bytes, with its page index.
    ///
    /// # Errors
    /// When the file cannot be read or is no Parquet.
    pub async fn footer(&self, path: &str, size: u64) -> Result<Arc<ParquetMetaData>, LakeError> {
        let kept = &self.files.cache().footers;
        if let Some(footer) = kept.get(path).await {
            return Ok(footer);
        }
        let footer = Arc::new(footer(&mut self.open(path, size).await?, size, PageIndexPolicy::Optional).await?);
        kept.insert(path.to_owned(), Arc::clone(&footer)).await;
        self.files.cache().owners.insert(path.to_owned(), owner(&footer)).await;
        Ok(footer)
    }

    /// Whose all rows of a file are, if they are one tenant's and that is known without opening it.
    pub(super) async fn owner(&self, path: &str) -> Option<Arc<str>> {
        self.files.cache().owners.get(path).await.flatten()
    }

    pub(super) async fn open(&self, path: &str, size: u64) -> Result<Ranges, LakeError> {
        let reader = self.table.file_io().new_input(path)?.reader().await?;
        let tail_from = size.saturating_sub(TAIL_BYTES as u64);
        Ok(Ranges { tail: reader.read(tail_from..size).await?, tail_from, reader })
    }
}

/// The tenant of all rows, by bounds that are whole: a writer may cut long ones off.
fn owner(footer: &ParquetMetaData) -> Option<Arc<str>> {
    let named = |chunk: &&ColumnChunkMetaData| chunk.column_path().string() == Column::Ns.name();
    let mut owners = footer.row_groups().iter().map(|group| sole_value(group.columns().iter().find(named)?));
    let first = owners.next()??;
    owners.all(|other| other == Some(first)).then(|| first.into())
}

fn sole_value(chunk: &ColumnChunkMetaData) -> Option<&str> {
    let Statistics::ByteArray(of) = chunk.statistics()? else { return None };
    let is_whole = of.min_is_exact() && of.max_is_exact() && of.null_count_opt() == Some(0);
    let (min, max) = (of.min_opt()?, of.max_opt()?);
    if is_whole && min == max { min.as_utf8().ok() } else { None }
}

pub(super) async fn footer(file: &mut Ranges, size: u64, pages: PageIndexPolicy) -> Result<ParquetMetaData, LakeError> {
    let reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(TAIL_BYTES)).with_page_index_policy(pages);
    Ok(reader.load_and_finish(file, size).await?)
}

/// A file whose end is read already: there are the footer, the page index and, of files that are not long, the filters.
pub(super) struct Ranges {
    reader: Box<dyn FileRead>,
    tail: Bytes,
    tail_from: u64,
}

impl Ranges {
    pub(super) async fn read(&self, range: Range<u64>) -> Result<Bytes, iceberg::Error> {
        let inside = |at: u64| usize::try_from(at.checked_sub(self.tail_from)?).ok().filter(|at| *at <= self.tail.len());
        match inside(range.start).zip(inside(range.end)) {
            Some((from, to)) if from <= to => Ok(self.tail.slice(from..to)),
            _ => self.reader.read(range).await,
        }
    }
}

impl MetadataFetch for &mut Ranges {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move { self.read(range).await.map_err(|error| ParquetError::External(Box::new(error))) }.boxed()
    }
}
