//! Rows to Parquet files: split by table, time and event type, sorted, not yet part of a table.
//!
//! Columns are built a few thousand rows at a time: what is in memory is the run itself and one slice of it as columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::error::ArrowError;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{DataFile, FormatVersion, Literal, PartitionKey, Struct, TableProperties, serialize_data_file_to_json};
use iceberg::table::Table;
use iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use iceberg::writer::file_writer::ParquetWriterBuilder;
use iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use iceberg::writer::{IcebergWriter, IcebergWriterBuilder};
use serde::{Deserialize, Serialize};
use watershed_schema::arrow::ColumnsBuilder;
use watershed_schema::{Column, Epoch};

use crate::own::table_name;
use crate::partitioning::Partitioning;
use crate::paths::{Folders, Names};
use crate::rows::{Part, Partition};
use crate::{EventTable, FileName, Lake, LakeError, Rows, encoding};

/// Rows that are columns at a time.
pub(crate) const SLICE_ROWS: usize = 4_096;
/// Longest file of the archiver; Iceberg's default.
const TARGET_BYTES: usize = TableProperties::PROPERTY_WRITE_TARGET_FILE_SIZE_BYTES_DEFAULT;

/// A written file as Iceberg's JSON of a data file, to travel through a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile(pub String);

/// Files of a run of rows, by table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staged {
    /// For the table that all share.
    pub shared: Vec<StagedFile>,
    /// For tables of single tenants. Whose rows went to a table of their own is named here, also when there were none.
    pub own: BTreeMap<String, Vec<StagedFile>>,
}

impl Staged {
    /// Files for all tables.
    pub fn all(&self) -> impl Iterator<Item = &StagedFile> {
        self.shared.iter().chain(self.own.values().flatten())
    }
}

impl Lake {
    /// Writes rows as Parquet, one file for each table and partition: time and event type. Nobody sees them before the
    /// commit.
    ///
    /// # Errors
    /// When a row is damaged or storage fails; files already written stay, as orphans.
    pub async fn write(&self, rows: &Rows, epoch: Epoch) -> Result<Staged, LakeError> {
        let (mut left, mut own) = (rows.clone(), BTreeMap::new());
        for tenant in &self.listed {
            let theirs = left.of(tenant);
            left.blocks.retain(|(_, batch)| batch.tenant() != tenant);
            let table = self.shared.beside(&table_name(tenant)?, tenant.clone());
            let files = if theirs.blocks.is_empty() { Vec::new() } else { table.write(&theirs, epoch).await? };
            own.insert(tenant.as_str().to_owned(), files);
        }
        let shared = if left.blocks.is_empty() { Vec::new() } else { self.shared.write(&left, epoch).await? };
        fail::fail_point!("lake::after_parquet");
        Ok(Staged { shared, own })
    }
}

impl EventTable {
    async fn write(&self, rows: &Rows, epoch: Epoch) -> Result<Vec<StagedFile>, LakeError> {
        let table = self.load().await?;
        let name = FileName { shard: rows.shard, from_seq: rows.from_seq, to_seq: rows.to_seq, epoch };
        let mut staged = Vec::new();
        let by = Partitioning::of_spec(table.metadata().default_partition_spec());
        let by = by.ok_or_else(|| LakeError::Foreign("its partitioning is none of ours".to_owned()))?;
        for (partition, part) in rows.partitions(by)? {
            for file in write_part(&table, partition, rows, &part, name).await? {
                let kind = table.metadata().default_partition_type();
                staged.push(StagedFile(serialize_data_file_to_json(file, kind, FormatVersion::V2)?));
            }
        }
        Ok(staged)
    }
}

async fn write_part(
    table: &Table,
    partition: Partition,
    rows: &Rows,
    part: &Part,
    name: FileName,
) -> Result<Vec<DataFile>, LakeError> {
    fail::fail_point!("lake::refused", |_| {
        Err(iceberg::Error::new(iceberg::ErrorKind::DataInvalid, "refused by a fail point").into())
    });
    let schema = Arc::new(schema_to_arrow_schema(table.metadata().current_schema())?);
    let filled = part.columns();
    let mut writer = writer(table, partition, name, (part.places.len(), &filled)).await?;
    let mut columns = ColumnsBuilder::new(&filled);
    for slice in part.places.chunks(SLICE_ROWS) {
        columns.extend(slice.iter().map(|place| rows.row(*place)))?;
        writer.write(as_table(&columns.finish(), &schema)?).await?;
    }
    Ok(writer.close().await?)
}

/// A writer of Parquet files of one partition.
async fn writer(
    table: &Table,
    (time, kind): Partition,
    name: FileName,
    (rows, filled): (usize, &[Column]),
) -> Result<impl IcebergWriter, LakeError> {
    let values = Struct::from_iter([Some(Literal::int(time)), Some(Literal::string(kind))]);
    let schema = table.metadata().current_schema();
    let key = PartitionKey::new(table.metadata().default_partition_spec().as_ref().clone(), Arc::clone(schema), values);
    let folders = Folders(table.metadata().location().to_owned());
    let columns =
        ParquetWriterBuilder::new(encoding::settings(rows as u64, |column| filled.contains(&column)), Arc::clone(schema));
    let files = RollingFileWriterBuilder::new(columns, TARGET_BYTES, table.file_io().clone(), folders, Names::new(name));
    Ok(DataFileWriterBuilder::new(files).build(Some(key)).await?)
}

/// The same columns under the table's schema, which has Iceberg's field ids and its own types for bytes. Columns in which no
/// row has anything are empty, and so are those that a newer build has added to the table.
fn as_table(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &FieldRef| match rows.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), rows.num_rows())),
    };
    RecordBatch::try_new(Arc::clone(schema), schema.fields().iter().map(column).collect::<Result<_, _>>()?)
}
