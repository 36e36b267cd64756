//! New manifests of a snapshot: entries as they come, so many to a file.

use iceberg::spec::{DataFile, ManifestEntry, ManifestFile, ManifestWriter, ManifestWriterBuilder, UNASSIGNED_SEQUENCE_NUMBER};
use iceberg::table::Table;

use super::files::Written;
use crate::LakeError;

/// Entries of a manifest: what it says of our columns is some kilobytes for each.
const ENTRIES_MAX: usize = 256;

/// Writes manifests of data files of the default spec.
pub(super) struct Manifests<'a> {
    table: &'a Table,
    written: &'a Written,
    snapshot_id: i64,
    open: Option<(ManifestWriter, usize)>,
    done: Vec<ManifestFile>,
}

impl<'a> Manifests<'a> {
    pub(super) fn new(table: &'a Table, written: &'a Written, snapshot_id: i64) -> Self {
        Self { table, written, snapshot_id, open: None, done: Vec::new() }
    }

    /// A file that the snapshot adds; its sequence number is the snapshot's.
    pub(super) async fn added(&mut self, file: DataFile) -> Result<(), LakeError> {
        Ok(self.writer().await?.add_file(file, UNASSIGNED_SEQUENCE_NUMBER)?)
    }

    /// A file that stays: with the sequence numbers and the snapshot that it came with.
    pub(super) async fn existing(&mut self, entry: &ManifestEntry) -> Result<(), LakeError> {
        let (data, file) = sequence(entry)?;
        let since = entry.snapshot_id().ok_or_else(|| unnumbered(entry))?;
        Ok(self.writer().await?.add_existing_file(entry.data_file().clone(), since, data, Some(file))?)
    }

    /// A file that the snapshot takes away.
    pub(super) async fn deleted(&mut self, entry: &ManifestEntry) -> Result<(), LakeError> {
        let (data, file) = sequence(entry)?;
        Ok(self.writer().await?.add_delete_file(entry.data_file().clone(), data, Some(file))?)
    }

    /// All manifests that were written.
    pub(super) async fn finish(mut self) -> Result<Vec<ManifestFile>, LakeError> {
        self.close().await?;
        Ok(self.done)
    }

    async fn writer(&mut self) -> Result<&mut ManifestWriter, LakeError> {
        if self.open.as_ref().is_some_and(|(_, entries)| *entries >= ENTRIES_MAX) {
            self.close().await?;
        }
        if self.open.is_none() {
            self.open = Some((self.another()?, 0));
        }
        let (writer, entries) = self.open.as_mut().expect("invariant: it was opened above");
        *entries += 1;
        Ok(writer)
    }

    fn another(&self) -> Result<ManifestWriter, LakeError> {
        let metadata = self.table.metadata();
        let (schema, spec) = (metadata.current_schema().clone(), metadata.default_partition_spec().as_ref().clone());
        let file = self.written.metadata("manifest")?;
        Ok(ManifestWriterBuilder::new(file, Some(self.snapshot_id), schema, spec).build_v2_data())
    }

    async fn close(&mut self) -> Result<(), LakeError> {
        if let Some((writer, _)) = self.open.take() {
            self.done.push(writer.write_manifest_file().await?);
        }
        Ok(())
    }
}

/// Data and file sequence number; the manifest list gives them to entries that have none of their own.
fn sequence(entry: &ManifestEntry) -> Result<(i64, i64), LakeError> {
    entry.sequence_number().zip(entry.file_sequence_number).ok_or_else(|| unnumbered(entry))
}

fn unnumbered(entry: &ManifestEntry) -> LakeError {
    LakeError::NotCompactable(format!("no sequence number or snapshot is known of {}", entry.file_path()))
}
