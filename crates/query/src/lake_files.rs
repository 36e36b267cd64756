//! Files of the lake for DataFusion's Parquet source: their footers come from the lake, which keeps them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{ParquetFileMetrics, ParquetFileReaderFactory};
use datafusion::error::{DataFusionError, Result};
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::{AsyncFileReader, ParquetObjectReader};
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use watershed_lake::Pinned;

use crate::Progress;

/// A file as the lake knows it; goes along with its key in the store.
pub(crate) struct Location {
    path: String,
    rows: u64,
    /// Where the parts begin that were read already: there may be two readers for one, the first for its filters.
    read: Mutex<BTreeSet<u64>>,
}

impl Location {
    pub(crate) fn new(path: String, rows: u64) -> Self {
        Self { path, rows, read: Mutex::default() }
    }
}

/// Opens files of one pinned snapshot.
#[derive(Debug)]
pub(crate) struct LakeFiles {
    pub(crate) pinned: Pinned,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) progress: Progress,
}

impl ParquetFileReaderFactory for LakeFiles {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        _footer_bytes: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let (key, size) = (file.object_meta.location, file.object_meta.size);
        let unnamed = || DataFusionError::Internal(format!("{key}: the scan does not say where it is"));
        let location = file.extensions.get_arc::<Location>().ok_or_else(unnamed)?;
        let metrics = ParquetFileMetrics::new(partition, key.as_ref(), metrics);
        let range = file.range.map_or(0..size, |range| range.start.cast_unsigned()..range.end.cast_unsigned());
        let part = Part { progress: self.progress.clone(), location: Arc::clone(&location), size, range };
        let bytes = ParquetObjectReader::new(Arc::clone(&self.store), key).with_file_size(size);
        Ok(Box::new(LakeFile { pinned: self.pinned.clone(), location, size, bytes, metrics, _part: part }))
    }
}

struct LakeFile {
    pinned: Pinned,
    location: Arc<Location>,
    size: u64,
    bytes: ParquetObjectReader,
    metrics: ParquetFileMetrics,
    _part: Part,
}

/// The part of a file that a reader is for: it was read when the reader is gone.
struct Part {
    progress: Progress,
    location: Arc<Location>,
    size: u64,
    range: Range<u64>,
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.location.read.lock().unwrap_or_else(PoisonError::into_inner).insert(self.range.start) {
            return;
        }
        // Where a row lies is not known; parts add up to all rows.
        let before = |byte: u64| self.location.rows * byte.min(self.size) / self.size.max(1);
        self.progress.read_part(before(self.range.end) - before(self.range.start), self.range.end >= self.size);
    }
}

impl LakeFile {
    fn scanned(&self, bytes: u64) {
        self.metrics.bytes_scanned.add(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
}

impl AsyncFileReader for LakeFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.scanned(range.end - range.start);
        self.bytes.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.scanned(ranges.iter().map(|range| range.end - range.start).sum());
        self.bytes.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(&'a mut self, _: Option<&'a ArrowReaderOptions>) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let footer = self.pinned.footer(&self.location.path, self.size);
        async { footer.await.map_err(|error| ParquetError::External(Box::new(error))) }.boxed()
    }
}
