//! A file's rows: which of them go, and a file of those that stay.

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;
use arrow::error::ArrowError;
use futures::TryStreamExt as _;
use iceberg::arrow::ArrowFileReader;
use iceberg::io::FileMetadata;
use iceberg::table::Table;
use parquet::arrow::ProjectionMask;
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;

use super::{Doomed, Hit};
use crate::compact::files::Written;
use crate::compact::order::Order;
use crate::compact::rewrite::{Rewrite, Rewritten};
use crate::{CompactionLimits, LakeError};

/// Which rows go: only the columns that say so are read.
pub(super) async fn gone(table: &Table, (path, size): (&str, u64), doomed: &Doomed) -> Result<BooleanBuffer, LakeError> {
    let reader = table.file_io().new_input(path)?.reader().await?;
    let reader = ArrowFileReader::new(FileMetadata { size }, reader);
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(ArrowError::from)?;
    let columns = ProjectionMask::columns(builder.parquet_schema(), Doomed::COLUMNS.map(|column| column.name()));
    let mut rows = builder.with_projection(columns).build().map_err(ArrowError::from)?;
    let mut gone = BooleanBufferBuilder::new(0);
    while let Some(batch) = rows.try_next().await.map_err(ArrowError::from)? {
        gone.append_buffer(doomed.mask(&batch)?.values());
    }
    Ok(gone.finish())
}

/// A file of the rows that stay, in their order, in the partition that the file was in.
pub(super) async fn without(
    table: &Table,
    hit: &Hit,
    doomed: &Doomed,
    limits: &CompactionLimits,
    written: &Written,
) -> Result<Option<Rewritten>, LakeError> {
    let order = Order::without(&gone(table, (&hit.file.path, hit.file.bytes), doomed).await?);
    let rewrite = Rewrite::open(table, std::slice::from_ref(&hit.file), limits, written).await?;
    rewrite.write(&order, (&hit.spec, hit.file.partition.clone())).await
}
