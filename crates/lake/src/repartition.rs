//! The table's partitioning becomes another one: new files are cut so, old ones stay as they are and are found as before.

use backon::Retryable;
use iceberg::spec::UnboundPartitionField;
use iceberg::table::Table;
use iceberg::{TableRequirement, TableUpdate};

use crate::partitioning::Partitioning;
use crate::{EventTable, LakeError, schema, waits};

/// Of an update: the spec that it has just added.
const LAST_ADDED: i32 = -1;

impl EventTable {
    /// From now on files are cut like this. Nothing happens when they are already.
    ///
    /// # Errors
    /// [`LakeError::NotPartitionable`] without [`crate::Updates`]; else when the catalog fails.
    pub async fn partition_by(&self, by: Partitioning) -> Result<(), LakeError> {
        (|| self.change_to(by)).retry(waits::commit()).when(LakeError::is_retryable).await
    }

    async fn change_to(&self, by: Partitioning) -> Result<(), LakeError> {
        let table = self.load().await?;
        let metadata = table.metadata();
        let now = Partitioning::of_spec(metadata.default_partition_spec());
        if now == Some(by) {
            return Ok(());
        }
        let from = now.map_or("other partitions", Partitioning::word);
        let without = || LakeError::NotPartitionable { from, to: by.word() };
        let updates = self.updates.as_deref().ok_or_else(without)?;
        tracing::info!(from, to = by.word(), "the table's partitioning changes; files of before stay as they are");
        Ok(updates.update(&self.ident, requirements(&table), changes(&table, by)?).await?)
    }
}

fn requirements(table: &Table) -> Vec<TableRequirement> {
    let metadata = table.metadata();
    vec![
        TableRequirement::UuidMatch { uuid: metadata.uuid() },
        TableRequirement::DefaultSpecIdMatch { default_spec_id: metadata.default_partition_spec_id() },
        TableRequirement::LastAssignedPartitionIdMatch { last_assigned_partition_id: metadata.last_partition_id() },
    ]
}

/// A spec that was there before comes back under its number.
fn changes(table: &Table, by: Partitioning) -> Result<Vec<TableUpdate>, LakeError> {
    let metadata = table.metadata();
    if let Some(known) = metadata.partition_specs_iter().find(|spec| Partitioning::of_spec(spec) == Some(by)) {
        return Ok(vec![TableUpdate::SetDefaultSpec { spec_id: known.spec_id() }]);
    }
    let mut next = metadata.last_partition_id();
    let unnumbered = schema::partitions(by)?;
    let numbered = unnumbered.fields().iter().map(|field| {
        let same =
            |other: &&iceberg::spec::PartitionField| (other.source_id, other.transform) == (field.source_id, field.transform);
        let field_id = metadata.partition_specs_iter().flat_map(|spec| spec.fields()).find(same).map(|field| field.field_id);
        let field_id = field_id.unwrap_or_else(|| {
            next += 1;
            next
        });
        UnboundPartitionField { field_id: Some(field_id), ..field.clone() }
    });
    let spec = iceberg::spec::UnboundPartitionSpec::builder().add_partition_fields(numbered.collect::<Vec<_>>())?.build();
    Ok(vec![TableUpdate::AddSpec { spec }, TableUpdate::SetDefaultSpec { spec_id: LAST_ADDED }])
}
