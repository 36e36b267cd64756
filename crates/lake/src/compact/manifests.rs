//! New manifests of a snapshot: entries as they come, so many to a file.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use iceberg::spec::{
    DataFile, ManifestEntry, ManifestFile, ManifestWriter, ManifestWriterBuilder, PartitionSpecRef, UNASSIGNED_SEQUENCE_NUMBER,
};
use iceberg::table::Table;

use super::files::Written;
use crate::LakeError;

/// Entries of a manifest: what it says of our columns is some kilobytes for each.
const ENTRIES_MAX: usize = 256;

/// Writes manifests of data files, those of one spec in each.
pub(crate) struct Manifests<'a> {
    table: &'a Table,
    written: &'a Written,
    snapshot_id: i64,
    open: BTreeMap<i32, (ManifestWriter, usize)>,
    done: Vec<ManifestFile>,
}

impl<'a> Manifests<'a> {
    pub(crate) fn new(table: &'a Table, written: &'a Written, snapshot_id: i64) -> Self {
        Self { table, written, snapshot_id, open: BTreeMap::new(), done: Vec::new() }
    }

    /// A file that the snapshot adds; its sequence number is the snapshot's.
    pub(crate) async fn added(&mut self, file: DataFile, spec: &PartitionSpecRef) -> Result<(), LakeError> {
        Ok(self.writer(spec).await?.add_file(file, UNASSIGNED_SEQUENCE_NUMBER)?)
    }

    /// A file that stays: with the sequence numbers and the snapshot that it came with.
    pub(crate) async fn existing(&mut self, entry: &ManifestEntry, spec: &PartitionSpecRef) -> Result<(), LakeError> {
        let (data, file) = sequence(entry)?;
        let since = entry.snapshot_id().ok_or_else(|| unnumbered(entry))?;
        Ok(self.writer(spec).await?.add_existing_file(entry.data_file().clone(), since, data, Some(file))?)
    }

    /// A file that the snapshot takes away.
    pub(crate) async fn deleted(&mut self, entry: &ManifestEntry, spec: &PartitionSpecRef) -> Result<(), LakeError> {
        let (data, file) = sequence(entry)?;
        Ok(self.writer(spec).await?.add_delete_file(entry.data_file().clone(), data, Some(file))?)
    }

    /// All manifests that were written.
    pub(crate) async fn finish(mut self) -> Result<Vec<ManifestFile>, LakeError> {
        while let Some((_, (writer, _))) = self.open.pop_first() {
            self.done.push(writer.write_manifest_file().await?);
        }
        Ok(self.done)
    }

    async fn writer(&mut self, spec: &PartitionSpecRef) -> Result<&mut ManifestWriter, LakeError> {
        let id = spec.spec_id();
        if self.open.get(&id).is_some_and(|(_, entries)| *entries >= ENTRIES_MAX)
            && let Some((writer, _)) = self.open.remove(&id)
        {
            self.done.push(writer.write_manifest_file().await?);
        }
        let (writer, entries) = match self.open.entry(id) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => place.insert((another(self.table, self.written, self.snapshot_id, spec)?, 0)),
        };
        *entries += 1;
        Ok(writer)
    }
}

fn another(table: &Table, written: &Written, snapshot_id: i64, spec: &PartitionSpecRef) -> Result<ManifestWriter, LakeError> {
    let (schema, spec) = (table.metadata().current_schema().clone(), spec.as_ref().clone());
    let file = written.metadata("manifest")?;
    Ok(ManifestWriterBuilder::new(file, Some(snapshot_id), schema, spec).build_v2_data())
}

/// Data and file sequence number; the manifest list gives them to entries that have none of their own.
fn sequence(entry: &ManifestEntry) -> Result<(i64, i64), LakeError> {
    entry.sequence_number().zip(entry.file_sequence_number).ok_or_else(|| unnumbered(entry))
}

fn unnumbered(entry: &ManifestEntry) -> LakeError {
    LakeError::NotCompactable(format!("no sequence number or snapshot is known of {}", entry.file_path()))
}
