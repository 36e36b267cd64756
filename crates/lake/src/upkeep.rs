//! Upkeep of all tables, one after the other. One that fails does not hold up the others.

use watershed_schema::Epoch;

use crate::partitioning::Partitioning;
use crate::{
    Compacted, CompactionLimits, Deleted, Doomed, EventTable, Expired, Lake, LakeError, Logged, OrphanRule, Orphans,
    SnapshotInfo, SnapshotRetention,
};

impl Lake {
    /// Replaces small files of one table by longer ones, once; `None` when there is nothing to gain in any.
    ///
    /// # Errors
    /// As [`EventTable::compact`].
    pub async fn compact(&self, limits: &CompactionLimits, epoch: Epoch) -> Result<Option<Compacted>, LakeError> {
        let mut failed = None;
        for table in self.tables().await? {
            match table.compact(limits, epoch).await {
                Ok(None) => {}
                Ok(done) => return Ok(done),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// Takes these rows away, as far as the limits go; `None` when there are none. Called again until then, all are gone
    /// that were in the lake when it began.
    ///
    /// # Errors
    /// As [`EventTable::delete`].
    pub async fn delete(&self, doomed: &Doomed, limits: &CompactionLimits, epoch: Epoch) -> Result<Option<Deleted>, LakeError> {
        let mut failed = None;
        for table in self.tables().await?.into_iter().filter(|table| may_hold(table, doomed)) {
            match table.delete(doomed, limits, epoch).await {
                Ok(None) => {}
                Ok(done) => return Ok(done),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// Removes snapshots that nobody needs any longer, once; `None` when all are needed.
    ///
    /// # Errors
    /// As [`EventTable::expire`].
    pub async fn expire(&self, retention: &SnapshotRetention, epoch: Epoch) -> Result<Option<Expired>, LakeError> {
        let (mut all, mut failed) = (None, None);
        for table in self.tables().await? {
            match table.expire(retention, epoch).await {
                Ok(done) => {
                    if let Some(Expired { snapshots, files, files_left }) = done {
                        let sum = all.get_or_insert(Expired::default());
                        sum.snapshots += snapshots;
                        sum.files += files;
                        sum.files_left += files_left;
                    }
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(all), Err)
    }

    /// Removes files under the tables that no snapshot names, no metadata and nothing in the shards' logs.
    ///
    /// # Errors
    /// [`LakeError::Fenced`], [`LakeError::NotCompactable`] for a listing that lacks what a table names or a table whose
    /// `gc.enabled` is off, and [`LakeError::Iceberg`]: then nothing of that table is removed.
    pub async fn remove_orphans(&self, rule: &OrphanRule, logged: &Logged, epoch: Epoch) -> Result<Orphans, LakeError> {
        let (tables, mut all, mut failed) = (self.tables().await?, Orphans::default(), None);
        for table in &tables {
            match table.remove_orphans(rule, (logged, &tables), epoch).await {
                Ok(found) => all.add(found),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(all), Err)
    }

    /// From now on files of all tables are cut like this. Nothing happens when they are already.
    ///
    /// # Errors
    /// As [`EventTable::partition_by`].
    pub async fn partition_by(&self, by: Partitioning) -> Result<(), LakeError> {
        for table in self.tables().await? {
            table.partition_by(by).await?;
        }
        Ok(())
    }

    /// Snapshots of the shared table that are not expired, newest first.
    ///
    /// # Errors
    /// As [`EventTable::snapshots`].
    pub async fn snapshots(&self) -> Result<Vec<SnapshotInfo>, LakeError> {
        self.shared.snapshots().await
    }

    /// The table of this name; without one, the shared one.
    ///
    /// # Errors
    /// [`LakeError::UnknownTable`]; when the catalog or the storage fails.
    pub async fn table(&self, name: &str) -> Result<EventTable, LakeError> {
        let tables = self.tables().await?;
        if let Some(table) = tables.iter().find(|table| name.is_empty() || table.name() == name) {
            return Ok(table.clone());
        }
        let known = tables.iter().map(EventTable::name).collect::<Vec<_>>().join(", ");
        Err(LakeError::UnknownTable { asked: name.to_owned(), known })
    }
}

/// Whether rows of it may have to go: of a tenant's table, nobody else's.
fn may_hold(table: &EventTable, doomed: &Doomed) -> bool {
    match doomed {
        Doomed::Tenant { ns, .. } => table.tenant.as_ref().is_none_or(|tenant| tenant.as_str() == ns),
        Doomed::Older { .. } => true,
    }
}
