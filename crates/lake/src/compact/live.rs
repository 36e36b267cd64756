//! Which files a snapshot holds, read manifest by manifest: only what a choice needs is kept of them.

use std::collections::BTreeSet;

use iceberg::spec::{DataFileFormat, FormatVersion, ManifestContentType, ManifestFile, Struct};
use iceberg::table::Table;

use crate::LakeError;

/// A data file of the snapshot.
#[derive(Clone, Debug)]
pub(super) struct LiveFile {
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) partition: Struct,
    /// The partition in words, to sort by.
    pub(super) folder: String,
}

/// Manifests of the current snapshot that list files which are in it.
pub(super) async fn manifests(table: &Table) -> Result<Vec<ManifestFile>, LakeError> {
    let Some(snapshot) = table.metadata().current_snapshot() else { return Ok(Vec::new()) };
    let list = table.manifest_list_reader(snapshot).load().await?;
    // Those that list deleted files alone tell of an older snapshot.
    let is_live = |manifest: &ManifestFile| manifest.has_added_files() || manifest.has_existing_files();
    Ok(list.consume_entries().into_iter().filter(is_live).collect())
}

/// Data files below `bytes_below`, of the spec that is written today.
pub(super) async fn small_files(table: &Table, bytes_below: u64) -> Result<Vec<LiveFile>, LakeError> {
    let metadata = table.metadata();
    if metadata.format_version() != FormatVersion::V2 {
        return Err(LakeError::NotCompactable(format!("format version is {}, not 2", metadata.format_version())));
    }
    let (spec, schema) = (metadata.default_partition_spec(), metadata.current_schema());
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
                small.push(LiveFile {
                    path: file.file_path().to_owned(),
                    bytes: file.file_size_in_bytes(),
                    rows: file.record_count(),
                    partition: file.partition().clone(),
                    folder: spec.partition_to_path(file.partition(), schema.clone()),
                });
            }
        }
    }
    Ok(small)
}

/// A file of deletes holds for data files that are older than it: what is written anew would lose it.
fn check(manifest: &ManifestFile) -> Result<(), LakeError> {
    match manifest.content {
        ManifestContentType::Data => Ok(()),
        ManifestContentType::Deletes => {
            Err(LakeError::NotCompactable(format!("the table has deletes, in {}", manifest.manifest_path)))
        }
    }
}

/// Whether the current snapshot holds one of these files.
pub(super) async fn holds_any(table: &Table, paths: &BTreeSet<String>) -> Result<bool, LakeError> {
    for manifest in manifests(table).await? {
        let manifest = manifest.load_manifest(table.file_io()).await?;
        if manifest.entries().iter().any(|entry| entry.is_alive() && paths.contains(entry.file_path())) {
            return Ok(true);
        }
    }
    Ok(false)
}
