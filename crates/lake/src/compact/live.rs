//! Which files a snapshot holds, read manifest by manifest: only what a choice needs is kept of them.

use std::collections::BTreeSet;

use iceberg::spec::{DataFile, DataFileFormat, FormatVersion, ManifestContentType, ManifestFile, PartitionSpec, Struct};
use iceberg::table::Table;

use crate::LakeError;

/// A data file of the snapshot.
#[derive(Clone, Debug)]
pub(crate) struct LiveFile {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) partition: Struct,
    /// The partition in words, to sort by.
    pub(crate) folder: String,
}

impl LiveFile {
    /// A file of this spec.
    pub(crate) fn of(file: &DataFile, spec: &PartitionSpec, table: &Table) -> Self {
        Self {
            path: file.file_path().to_owned(),
            bytes: file.file_size_in_bytes(),
            rows: file.record_count(),
            partition: file.partition().clone(),
            folder: spec.partition_to_path(file.partition(), table.metadata().current_schema().clone()),
        }
    }
}

/// Manifests are written as those of version 2.
pub(crate) fn check_format(table: &Table) -> Result<(), LakeError> {
    match table.metadata().format_version() {
        FormatVersion::V2 => Ok(()),
        other => Err(LakeError::NotCompactable(format!("format version is {other}, not 2"))),
    }
}

/// Manifests of the current snapshot that list files which are in it.
pub(crate) async fn manifests(table: &Table) -> Result<Vec<ManifestFile>, LakeError> {
    let Some(snapshot) = table.metadata().current_snapshot() else { return Ok(Vec::new()) };
    let list = table.manifest_list_reader(snapshot).load().await?;
    // Those that list deleted files alone tell of an older snapshot.
    let is_live = |manifest: &ManifestFile| manifest.has_added_files() || manifest.has_existing_files();
    Ok(list.consume_entries().into_iter().filter(is_live).collect())
}

/// Data files below `bytes_below`, of the spec that is written today.
pub(crate) async fn small_files(table: &Table, bytes_below: u64) -> Result<Vec<LiveFile>, LakeError> {
    check_format(table)?;
    let spec = table.metadata().default_partition_spec();
    let mut small = Vec::new();
    for manifest in manifests(table).await? {
        check(&manifest)?;
        if manifest.partition_spec_id != spec.spec_id() {
            continue;
        }
        for entry in manifest.load_manifest(table.file_io()).await?.entries() {
            let file = entry.data_file();
            let is_small = file.file_size_in_bytes() < bytes_below && file.file_format() == DataFileFormat::Parquet;
            if entry.is_alive() && is_small {
                small.push(LiveFile::of(file, spec, table));
            }
        }
    }
    Ok(small)
}

/// A file of deletes holds for data files that are older than it: what is written anew would lose it.
pub(crate) fn check(manifest: &ManifestFile) -> Result<(), LakeError> {
    match manifest.content {
        ManifestContentType::Data => Ok(()),
        ManifestContentType::Deletes => {
            Err(LakeError::NotCompactable(format!("the table has deletes, in {}", manifest.manifest_path)))
        }
    }
}

/// Whether the current snapshot holds one of these files, data or manifest.
pub(crate) async fn holds_any(table: &Table, paths: &BTreeSet<String>) -> Result<bool, LakeError> {
    for manifest in manifests(table).await? {
        if paths.contains(&manifest.manifest_path) {
            return Ok(true);
        }
        let manifest = manifest.load_manifest(table.file_io()).await?;
        if manifest.entries().iter().any(|entry| entry.is_alive() && paths.contains(entry.file_path())) {
            return Ok(true);
        }
    }
    Ok(false)
}
