//! The files of a snapshot, one by one and summed up by partition, as its manifests tell of them.

use std::collections::BTreeMap;

use iceberg::spec::{DataContentType, DataFile, Datum, ManifestEntry, PartitionSpec, PrimitiveLiteral};
use watershed_schema::Column;

use crate::LakeError;
use crate::paths::folder;
use crate::read::Pinned;
use crate::schema::id;

/// A file of a snapshot. Ranges are of its rows, both ends inclusive; `None` where the file does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its location.
    pub path: String,
    /// `hour=2026-11-26-13/event_type=trace`.
    pub partition: String,
    /// `data`, `position-deletes` or `equality-deletes`.
    pub content: &'static str,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// Shards.
    pub shards: Option<(i64, i64)>,
    /// Sequence numbers; of one shard's when `shards` is one.
    pub seqs: Option<(i64, i64)>,
    /// Timestamps in microseconds since 1970.
    pub times_us: Option<(i64, i64)>,
    /// Tenants.
    pub tenants: Option<(String, String)>,
}

/// What a partition holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionInfo {
    /// `hour=2026-11-26-13/event_type=trace`.
    pub partition: String,
    /// Data files.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Files of deletes.
    pub delete_files: u64,
}

impl Pinned {
    /// All files whose partition begins like this, by partition and path.
    ///
    /// # Errors
    /// When manifests cannot be read.
    pub async fn contents(&self, partition_prefix: &str) -> Result<Vec<FileInfo>, LakeError> {
        let mut files = Vec::new();
        let Some(snapshot) = self.snapshot_id.and_then(|id| self.table.metadata().snapshot_by_id(id)) else { return Ok(files) };
        for manifest in self.table.manifest_list_reader(snapshot).load().await?.entries() {
            let spec = self.table.metadata().partition_spec_by_id(manifest.partition_spec_id);
            let spec = spec.ok_or_else(|| LakeError::Foreign(format!("no partition spec {}", manifest.partition_spec_id)))?;
            let entries = manifest.load_manifest(self.table.file_io()).await?;
            let alive = entries.entries().iter().filter(|entry: &&std::sync::Arc<ManifestEntry>| entry.is_alive());
            let told = alive.map(|entry| info(entry.data_file(), spec));
            files.extend(told.filter(|file| file.partition.starts_with(partition_prefix)));
        }
        files.sort_by(|a, b| (&a.partition, &a.path).cmp(&(&b.partition, &b.path)));
        Ok(files)
    }
}

/// Files summed up by partition.
#[must_use]
pub fn partitions(files: &[FileInfo]) -> Vec<PartitionInfo> {
    let mut all: BTreeMap<&str, PartitionInfo> = BTreeMap::new();
    for file in files {
        let one = all.entry(&file.partition).or_default();
        if file.content == "data" {
            one.files += 1;
            one.rows += file.rows;
            one.bytes += file.bytes;
        } else {
            one.delete_files += 1;
        }
    }
    all.into_iter().map(|(partition, one)| PartitionInfo { partition: partition.to_owned(), ..one }).collect()
}

fn info(file: &DataFile, spec: &PartitionSpec) -> FileInfo {
    let range = |column: Column| {
        let (from, to) = (file.lower_bounds().get(&id(column))?, file.upper_bounds().get(&id(column))?);
        number(from).zip(number(to))
    };
    let names = || {
        let (from, to) = (file.lower_bounds().get(&id(Column::Ns))?, file.upper_bounds().get(&id(Column::Ns))?);
        text(from).zip(text(to))
    };
    FileInfo {
        path: file.file_path().to_owned(),
        partition: folder(spec, file.partition()),
        content: match file.content_type() {
            DataContentType::Data => "data",
            DataContentType::PositionDeletes => "position-deletes",
            DataContentType::EqualityDeletes => "equality-deletes",
        },
        rows: file.record_count(),
        bytes: file.file_size_in_bytes(),
        shards: range(Column::Shard),
        seqs: range(Column::Sequence),
        times_us: range(Column::Timestamp),
        tenants: names(),
    }
}

fn number(bound: &Datum) -> Option<i64> {
    match bound.literal() {
        PrimitiveLiteral::Int(number) => Some(i64::from(*number)),
        PrimitiveLiteral::Long(number) => Some(*number),
        _ => None,
    }
}

fn text(bound: &Datum) -> Option<String> {
    match bound.literal() {
        PrimitiveLiteral::String(text) => Some(text.clone()),
        _ => None,
    }
}
