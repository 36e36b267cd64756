//! Old snapshots leave the table, and with them the files that only they named.
//!
//! Files are deleted only once the table, read again, is seen not to have the snapshots any longer; whatever is unknown
//! deletes nothing and leaves the files to the removal of orphans.

pub(crate) mod gone;
mod history;

use std::time::Duration;

use backon::Retryable;
use iceberg::spec::MAIN_BRANCH;
use iceberg::table::Table;
use iceberg::{TableRequirement, TableUpdate};
use watershed_schema::Epoch;

use crate::table::fence;
use crate::{EventTable, LakeError, Updates, waits};

/// Which snapshots stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotRetention {
    /// A snapshot that was the newest within this time stays: who pinned it then may still read it.
    pub age: Duration,
    /// As many of the newest stay, whatever their age; at least one.
    pub count: usize,
}

/// What a round has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Snapshots.
    pub snapshots: usize,
    /// Files that no other snapshot names, data and metadata.
    pub files: usize,
    /// Files among them that could not be deleted: orphans.
    pub files_left: usize,
}

impl EventTable {
    /// Removes snapshots that nobody needs any longer, once; `None` when all are needed. Branches and tags of others keep
    /// what they need.
    ///
    /// # Errors
    /// [`LakeError::Overtaken`] when another commit needs what was to go and [`LakeError::Fenced`]: nothing is changed.
    /// [`LakeError::NotCompactable`] for a table whose `gc.enabled` is off, or a catalog without [`Updates`].
    /// [`LakeError::Iceberg`] may mean unknown: then no file is deleted.
    pub async fn expire(&self, retention: &SnapshotRetention, epoch: Epoch) -> Result<Option<Expired>, LakeError> {
        let updates = self.way_in()?;
        let table = self.load().await?;
        fence(&table, epoch)?;
        let plan = plan(&table, retention)?;
        if plan.is_empty() {
            return Ok(None);
        }
        let gone = gone::Gone::of(&table, &plan).await?;
        self.forget(updates, &plan, retention, epoch).await?;
        fail::fail_point!("lake::after_expire");
        let now = self.load().await?;
        if plan.iter().any(|id| now.metadata().snapshot_by_id(*id).is_some()) {
            return Err(LakeError::NotCompactable("snapshots that were removed are there again".to_owned()));
        }
        let (files, files_left) = gone.delete(&now).await?;
        Ok(Some(Expired { snapshots: plan.len(), files, files_left }))
    }

    async fn forget(
        &self,
        updates: &dyn Updates,
        plan: &[i64],
        retention: &SnapshotRetention,
        epoch: Epoch,
    ) -> Result<(), LakeError> {
        let attempt = || self.try_forget(updates, plan, retention, epoch);
        attempt.retry(waits::commit()).when(LakeError::is_retryable).await
    }

    async fn try_forget(
        &self,
        updates: &dyn Updates,
        ids: &[i64],
        retention: &SnapshotRetention,
        epoch: Epoch,
    ) -> Result<(), LakeError> {
        let table = self.load().await?;
        if ids.iter().all(|id| table.metadata().snapshot_by_id(*id).is_none()) {
            return Ok(());
        }
        fence(&table, epoch)?;
        // Commits meanwhile are fine, unless one needs what was to go.
        let unneeded = plan(&table, retention)?;
        if !ids.iter().all(|id| unneeded.contains(id)) {
            return Err(LakeError::Overtaken);
        }
        updates.update(&self.ident, requirements(&table), changes(&table, ids)).await?;
        Ok(())
    }

    /// The way into the catalog.
    pub(crate) fn way_in(&self) -> Result<&dyn Updates, LakeError> {
        let without = || LakeError::NotCompactable("the catalog takes no updates of ours".to_owned());
        self.updates.as_deref().ok_or_else(without)
    }
}

fn plan(table: &Table, retention: &SnapshotRetention) -> Result<Vec<i64>, LakeError> {
    collectable(table)?;
    let refs = history::refs(table.metadata())?;
    Ok(history::unneeded(table.metadata(), &refs, retention, chrono::Utc::now().timestamp_millis()))
}

/// Whether anything of the table may be deleted: its owner can forbid it.
pub(crate) fn collectable(table: &Table) -> Result<(), LakeError> {
    let allowed = table.metadata().properties().get("gc.enabled").is_none_or(|value| !value.eq_ignore_ascii_case("false"));
    if allowed { Ok(()) } else { Err(LakeError::NotCompactable("the table's property gc.enabled is false".to_owned())) }
}

/// Nobody has committed since: no snapshot can have come to need one of the removed.
fn requirements(table: &Table) -> Vec<TableRequirement> {
    let (uuid, snapshot_id) = (table.metadata().uuid(), table.metadata().current_snapshot_id());
    vec![
        TableRequirement::UuidMatch { uuid },
        TableRequirement::RefSnapshotIdMatch { r#ref: MAIN_BRANCH.to_owned(), snapshot_id },
    ]
}

fn changes(table: &Table, plan: &[i64]) -> Vec<TableUpdate> {
    let metadata = table.metadata();
    let mut changes = vec![TableUpdate::RemoveSnapshots { snapshot_ids: plan.to_vec() }];
    for snapshot_id in plan.iter().copied() {
        if metadata.statistics_for_snapshot(snapshot_id).is_some() {
            changes.push(TableUpdate::RemoveStatistics { snapshot_id });
        }
        if metadata.partition_statistics_for_snapshot(snapshot_id).is_some() {
            changes.push(TableUpdate::RemovePartitionStatistics { snapshot_id });
        }
    }
    changes
}
