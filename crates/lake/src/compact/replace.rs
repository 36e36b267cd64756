//! The transaction that iceberg-rust lacks: a snapshot that takes files away and puts others in their place.
//!
//! Its manifests are those of the snapshot that was read. Where a manifest lists a replaced file, its entries are written
//! anew: the replaced ones as deleted, the others as existing, with their sequence numbers. Nothing here is seen by
//! anybody before [`super::publish`].

use std::collections::BTreeSet;

use iceberg::spec::{
    DataFile, MAIN_BRANCH, ManifestFile, ManifestListWriter, Operation, PartitionSpecRef, Snapshot, SnapshotReference,
    SnapshotRetention, Summary,
};
use iceberg::table::Table;
use iceberg::{TableRequirement, TableUpdate};
use uuid::Uuid;

use super::files::Written;
use super::live;
use super::manifests::Manifests;
use super::summary::Changes;
use crate::LakeError;

/// Files that take the place of others.
pub(crate) struct Replacement<'a> {
    table: &'a Table,
    replaced: BTreeSet<String>,
    added: Vec<(PartitionSpecRef, DataFile)>,
    written: &'a Written,
}

/// A snapshot whose files are written, and which no table has yet.
pub(crate) struct Next {
    pub(crate) snapshot: Snapshot,
    requirements: Vec<TableRequirement>,
}

impl Next {
    /// What the catalog is asked: the updates, and what must be the case.
    pub(crate) fn commit(&self) -> (Vec<TableRequirement>, Vec<TableUpdate>) {
        let retention = SnapshotRetention::branch(None, None, None);
        let updates = vec![
            TableUpdate::AddSnapshot { snapshot: self.snapshot.clone() },
            TableUpdate::SetSnapshotRef {
                ref_name: MAIN_BRANCH.to_owned(),
                reference: SnapshotReference::new(self.snapshot.snapshot_id(), retention),
            },
        ];
        (self.requirements.clone(), updates)
    }
}

impl<'a> Replacement<'a> {
    /// `replaced` are files of the table's current snapshot; `added` come in their place.
    pub(crate) fn new(
        table: &'a Table,
        replaced: BTreeSet<String>,
        added: Vec<(PartitionSpecRef, DataFile)>,
        written: &'a Written,
    ) -> Self {
        Self { table, replaced, added, written }
    }

    /// Writes manifests and their list; `operation` says what readers are to think of it.
    pub(crate) async fn snapshot(mut self, operation: Operation) -> Result<Next, LakeError> {
        let metadata = self.table.metadata();
        let (parent, sequence_number, id) = (metadata.current_snapshot_id(), metadata.next_sequence_number(), self.new_id());
        let mut changes = Changes::new(self.table);
        let manifests = self.manifests(id, &mut changes).await?;
        if let Some(missing) = self.replaced.first() {
            return Err(LakeError::NotCompactable(format!("the snapshot that was read does not list {missing}")));
        }
        let list = self.written.metadata("list")?;
        let location = list.location().to_owned();
        let mut writer = ManifestListWriter::v2(list.writer().await?, id, parent, sequence_number);
        writer.add_manifests(manifests.into_iter())?;
        writer.close().await?;
        let snapshot = Snapshot::builder()
            .with_manifest_list(location)
            .with_snapshot_id(id)
            .with_parent_snapshot_id(parent)
            .with_sequence_number(sequence_number)
            .with_summary(Summary { operation, additional_properties: changes.summary() })
            .with_schema_id(metadata.current_schema_id())
            // A clock that goes back must not make the history do so.
            .with_timestamp_ms(chrono::Utc::now().timestamp_millis().max(metadata.last_updated_ms()))
            .build();
        Ok(Next { snapshot, requirements: self.requirements() })
    }

    /// The new snapshot's manifests; removes from `replaced` what they tell of.
    async fn manifests(&mut self, id: i64, changes: &mut Changes<'a>) -> Result<Vec<ManifestFile>, LakeError> {
        let (mut kept, mut anew) = (Vec::new(), Manifests::new(self.table, self.written, id));
        for manifest in live::manifests(self.table).await? {
            let entries = manifest.load_manifest(self.table.file_io()).await?;
            let alive = entries.entries().iter().filter(|entry| entry.is_alive());
            if !alive.clone().any(|entry| self.replaced.contains(entry.file_path())) {
                kept.push(manifest);
                continue;
            }
            let spec = self.table.metadata().partition_spec_by_id(manifest.partition_spec_id);
            let unknown = || LakeError::NotCompactable(format!("no partition spec is known of {}", manifest.manifest_path));
            let spec = spec.ok_or_else(unknown)?;
            for entry in alive {
                if self.replaced.remove(entry.file_path()) {
                    changes.removed(entry.data_file(), spec);
                    anew.deleted(entry, spec).await?;
                } else {
                    anew.existing(entry, spec).await?;
                }
            }
        }
        for (spec, file) in std::mem::take(&mut self.added) {
            changes.added(&file, &spec);
            anew.added(file, &spec).await?;
        }
        let mut manifests = anew.finish().await?;
        manifests.append(&mut kept);
        Ok(manifests)
    }

    /// The table is the one that was read, and nobody has committed to it.
    fn requirements(&self) -> Vec<TableRequirement> {
        let metadata = self.table.metadata();
        let snapshot_id = metadata.current_snapshot_id();
        vec![
            TableRequirement::UuidMatch { uuid: metadata.uuid() },
            TableRequirement::RefSnapshotIdMatch { r#ref: MAIN_BRANCH.to_owned(), snapshot_id },
        ]
    }

    fn new_id(&self) -> i64 {
        loop {
            let (high, low) = Uuid::new_v4().as_u64_pair();
            let id = ((high ^ low) >> 1).cast_signed();
            if self.table.metadata().snapshot_by_id(id).is_none() {
                return id;
            }
        }
    }
}
