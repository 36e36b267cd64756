//! Batches to Parquet files: sorted, split by hour and event type, not yet part of the table.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, cast, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{FormatVersion, Literal, PartitionKey, Struct, serialize_data_file_to_json};
use iceberg::table::Table;
use iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use iceberg::writer::file_writer::ParquetWriterBuilder;
use iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use iceberg::writer::{IcebergWriter, IcebergWriterBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use watershed_schema::Column;

use crate::paths::{Folders, Names};
use crate::{FileName, Lake, LakeError};

const HOUR_US: i64 = 3_600_000_000;

/// A written file as Iceberg's JSON of a data file, to travel through a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile(pub String);

type Partition = (Option<i32>, String);

impl Lake {
    /// Writes rows as Parquet, one file for each hour and event type. Nobody sees them before the commit.
    ///
    /// # Errors
    /// When batches lack columns or storage fails; files already written stay, as orphans.
    pub async fn write(&self, batches: Vec<RecordBatch>, name: FileName) -> Result<Vec<StagedFile>, LakeError> {
        let table = self.load().await?;
        let target = Arc::new(schema_to_arrow_schema(table.metadata().current_schema())?);
        let mut staged = Vec::new();
        if let Some(all) = sorted(&batches, &target)? {
            for (partition, rows) in split(&all)? {
                let part = take_record_batch(&all, &UInt32Array::from(rows))?;
                staged.extend(write_part(&table, partition, part, name).await?);
            }
        }
        fail::fail_point!("lake::after_parquet");
        Ok(staged)
    }
}

fn sorted(batches: &[RecordBatch], target: &SchemaRef) -> Result<Option<RecordBatch>, ArrowError> {
    let Some(first) = batches.first() else { return Ok(None) };
    let all = concat_batches(&first.schema(), batches)?;
    let column = |field: &Arc<arrow::datatypes::Field>| cast(named(&all, field.name())?, field.data_type());
    let columns = target.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let all = RecordBatch::try_new(Arc::clone(target), columns)?;
    let keys = [Column::Ns, Column::TraceId, Column::Timestamp].map(|column| named(&all, column.name()).cloned());
    let keys = keys.into_iter().map(|key| Ok(SortColumn { values: key?, options: None }));
    let order = lexsort_to_indices(&keys.collect::<Result<Vec<_>, ArrowError>>()?, None)?;
    take_record_batch(&all, &order).map(Some)
}

fn named<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Arc<dyn Array>, ArrowError> {
    batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("column {name} is missing")))
}

fn split(all: &RecordBatch) -> Result<BTreeMap<Partition, Vec<u32>>, ArrowError> {
    let times = named(all, Column::Timestamp.name())?.as_primitive::<TimestampMicrosecondType>();
    let kinds = named(all, Column::EventType.name())?.as_string::<i32>();
    let mut parts = BTreeMap::<Partition, Vec<u32>>::new();
    for row in 0..all.num_rows() {
        let hour = times.is_valid(row).then(|| i32::try_from(times.value(row).div_euclid(HOUR_US)));
        let hour = hour.transpose().map_err(|e| ArrowError::ComputeError(e.to_string()))?;
        let index = u32::try_from(row).map_err(|e| ArrowError::ComputeError(e.to_string()))?;
        parts.entry((hour, kinds.value(row).to_owned())).or_default().push(index);
    }
    Ok(parts)
}

async fn write_part(
    table: &Table,
    (hour, kind): Partition,
    rows: RecordBatch,
    name: FileName,
) -> Result<Vec<StagedFile>, LakeError> {
    let metadata = table.metadata();
    let (spec, schema) = (metadata.default_partition_spec(), metadata.current_schema());
    let values = Struct::from_iter([hour.map(Literal::int), Some(Literal::string(kind))]);
    let key = PartitionKey::new(spec.as_ref().clone(), Arc::clone(schema), values);
    let files = RollingFileWriterBuilder::new_with_default_file_size(
        ParquetWriterBuilder::new(parquet_settings(), Arc::clone(schema)),
        table.file_io().clone(),
        Folders(metadata.location().to_owned()),
        Names::new(name),
    );
    let mut writer = DataFileWriterBuilder::new(files).build(Some(key)).await?;
    writer.write(rows).await?;
    let kind = metadata.default_partition_type();
    let text = |file| serialize_data_file_to_json(file, kind, FormatVersion::V2).map(StagedFile);
    Ok(writer.close().await?.into_iter().map(text).collect::<Result<_, _>>()?)
}

fn parquet_settings() -> WriterProperties {
    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build()
}
