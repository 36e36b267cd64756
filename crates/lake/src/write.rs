//! Rows to Parquet files: split by table, time and event type, sorted, not yet part of a table.
//!
//! Columns are built a thousand rows at a time: what is in memory is the run itself, one slice of it as columns, and the file.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use iceberg::spec::{DataFile, FormatVersion, Literal, PartitionKey, Struct, serialize_data_file_to_json};
use iceberg::table::Table;
use iceberg::writer::file_writer::location_generator::{FileNameGenerator as _, LocationGenerator as _};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use watershed_schema::Epoch;
use watershed_schema::arrow::ColumnsBuilder;

use crate::cache::Cache;
use crate::data_file::Made;
use crate::filter_cache::Key;
use crate::own::table_name;
use crate::part_file::PartFile;
use crate::partitioning::Partitioning;
use crate::paths::{Folders, Names};
use crate::rows::{Part, Partition, Place};
use crate::{EventTable, FileName, Lake, LakeError, Rows};

/// Rows that a merge moves at a time.
pub(crate) const SLICE_ROWS: usize = 4_096;
/// Rows that are columns at a time: few enough that they are still in the processor's cache when they are encoded. Parquet's
/// writer takes as many at once.
const ENCODED_ROWS: usize = 1_024;

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
        self.write_named(rows, epoch, None).await
    }

    /// The same under names that no file has: for rows of a run of which others may be in files already.
    ///
    /// # Errors
    /// As [`Lake::write`].
    pub async fn write_apart(&self, rows: &Rows, epoch: Epoch) -> Result<Staged, LakeError> {
        self.write_named(rows, epoch, Some(Uuid::now_v7())).await
    }

    async fn write_named(&self, rows: &Rows, epoch: Epoch, apart: Option<Uuid>) -> Result<Staged, LakeError> {
        let name = FileName { shard: rows.shard, from_seq: rows.from_seq, to_seq: rows.to_seq, epoch, apart };
        let (mut left, mut own) = (rows.clone(), BTreeMap::new());
        for tenant in &self.listed {
            let theirs = left.of(tenant);
            left.blocks.retain(|(_, batch)| batch.tenant() != tenant);
            let table = self.shared.beside(&table_name(tenant)?, tenant.clone());
            let files = if theirs.blocks.is_empty() { Vec::new() } else { table.write(&theirs, name).await? };
            own.insert(tenant.as_str().to_owned(), files);
        }
        let shared = if left.blocks.is_empty() { Vec::new() } else { self.shared.write(&left, name).await? };
        fail::fail_point!("lake::after_parquet");
        Ok(Staged { shared, own })
    }
}

impl EventTable {
    async fn write(&self, rows: &Rows, name: FileName) -> Result<Vec<StagedFile>, LakeError> {
        let table = self.load().await?;
        let mut staged = Vec::new();
        let by = Partitioning::of_spec(table.metadata().default_partition_spec());
        let by = by.ok_or_else(|| LakeError::Foreign("its partitioning is none of ours".to_owned()))?;
        for (partition, part) in rows.partitions(by)? {
            for file in write_part((&table, self.files.cache()), partition, rows, &part, name).await? {
                let kind = table.metadata().default_partition_type();
                staged.push(StagedFile(serialize_data_file_to_json(file, kind, FormatVersion::V2)?));
            }
        }
        Ok(staged)
    }
}

async fn write_part(
    (table, cache): (&Table, &Cache),
    partition: Partition,
    rows: &Rows,
    part: &Part,
    name: FileName,
) -> Result<Vec<DataFile>, LakeError> {
    fail::fail_point!("lake::refused", |_| {
        Err(iceberg::Error::new(iceberg::ErrorKind::DataInvalid, "refused by a fail point").into())
    });
    let filled = part.columns();
    let (names, mut files) = (Names::new(name), Vec::new());
    let mut columns = ColumnsBuilder::new(&filled);
    let mut left = part.places.as_slice();
    while !left.is_empty() {
        let mut file = PartFile::open(table.metadata().current_schema(), left.len(), &filled)?;
        while let Some((slice, rest)) = next_slice(left).filter(|_| file.has_room()) {
            columns.extend(slice.iter().map(|place| rows.row(*place)))?;
            file.write(&columns.finish())?;
            left = rest;
        }
        files.push(put((table, cache), &partition, file, &names).await?);
    }
    Ok(files)
}

fn next_slice(places: &[Place]) -> Option<(&[Place], &[Place])> {
    (!places.is_empty()).then(|| places.split_at(places.len().min(ENCODED_ROWS)))
}

/// Puts a file where it belongs, and lists it.
async fn put(
    (table, cache): (&Table, &Cache),
    (time, kind): &Partition,
    file: PartFile,
    names: &Names,
) -> Result<DataFile, LakeError> {
    let (schema, spec) = (table.metadata().current_schema(), table.metadata().default_partition_spec());
    let values = Struct::from_iter([Some(Literal::int(*time)), Some(Literal::string(kind))]);
    let key = PartitionKey::new(spec.as_ref().clone(), Arc::clone(schema), values.clone());
    let folders = Folders(table.metadata().location().to_owned());
    let path = folders.generate_location(Some(&key), &names.generate_file_name());
    let (content, footer, nans) = file.close()?;
    let content = Bytes::from(content);
    let bytes = content.len() as u64;
    let mut out = table.file_io().new_output(&path)?.writer().await?;
    out.write(content.clone()).await?;
    out.close().await?;
    cache.keep_written(Key { path: path.clone(), size: bytes }, (&content, 0), &footer).await;
    Made { path, bytes, footer, nans }.listed(schema, (spec, values))
}
