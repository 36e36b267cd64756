//! A file's rows: how many go, and a file of those that stay.

use arrow::compute::{filter_record_batch, not};
use arrow::error::ArrowError;
use futures::TryStreamExt as _;
use iceberg::arrow::ArrowFileReader;
use iceberg::io::FileMetadata;
use iceberg::spec::DataFile;
use iceberg::table::Table;
use iceberg::writer::IcebergWriter as _;
use parquet::arrow::ProjectionMask;
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;

use super::{Doomed, Hit};
use crate::compact::files::Written;
use crate::compact::input::Input;
use crate::compact::merge;
use crate::write::parquet;
use crate::{CompactionLimits, LakeError};

/// How many rows go: only the columns that say so are read.
pub(super) async fn count(table: &Table, file: &DataFile, doomed: &Doomed) -> Result<u64, LakeError> {
    let reader = table.file_io().new_input(file.file_path())?.reader().await?;
    let reader = ArrowFileReader::new(FileMetadata { size: file.file_size_in_bytes() }, reader);
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(ArrowError::from)?;
    let columns = ProjectionMask::columns(builder.parquet_schema(), Doomed::COLUMNS.map(|column| column.name()));
    let mut rows = builder.with_projection(columns).build().map_err(ArrowError::from)?;
    let mut count = 0;
    while let Some(batch) = rows.try_next().await.map_err(ArrowError::from)? {
        count += doomed.mask(&batch)?.true_count() as u64;
    }
    Ok(count)
}

/// Files of the rows that stay, in their order, in the partition that the file was in.
pub(super) async fn without(
    table: &Table,
    hit: &Hit,
    doomed: &Doomed,
    limits: &CompactionLimits,
    written: &Written,
) -> Result<Vec<DataFile>, LakeError> {
    let target_bytes = usize::try_from(limits.target_bytes).unwrap_or(usize::MAX);
    let partition = (hit.spec.clone(), hit.file.partition.clone());
    let mut writer = parquet(table, partition, target_bytes, written.clone(), written.names()).await?;
    let to = merge::target(table)?;
    let mut input = Input::open(table, &hit.file, &to, limits.decoded_bytes_max / 2).await?;
    while input.advance(&to).await? {
        let stays = not(&doomed.mask(&input.batch)?)?;
        let rows = filter_record_batch(&input.batch, &stays)?;
        if rows.num_rows() > 0 {
            writer.write(rows).await?;
        }
    }
    Ok(writer.close().await?)
}
