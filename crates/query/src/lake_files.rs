//! Files of the lake for DataFusion's Parquet source: their footers come from the lake, which keeps them.

use std::ops::Range;
use std::sync::Arc;

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

/// A file's location as the lake names it; goes along with its key in the store.
pub(crate) struct Location(pub(crate) String);

/// Opens files of one pinned snapshot.
#[derive(Debug)]
pub(crate) struct LakeFiles {
    pub(crate) pinned: Pinned,
    pub(crate) store: Arc<dyn ObjectStore>,
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
        let bytes = ParquetObjectReader::new(Arc::clone(&self.store), key).with_file_size(size);
        Ok(Box::new(LakeFile { pinned: self.pinned.clone(), location, size, bytes, metrics }))
    }
}

struct LakeFile {
    pinned: Pinned,
    location: Arc<Location>,
    size: u64,
    bytes: ParquetObjectReader,
    metrics: ParquetFileMetrics,
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
        let footer = self.pinned.footer(&self.location.0, self.size);
        async { footer.await.map_err(|error| ParquetError::External(Box::new(error))) }.boxed()
    }
}
