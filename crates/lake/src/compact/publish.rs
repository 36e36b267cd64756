//! The snapshot of a compaction becomes the table's, or never will.
//!
//! Outcomes may be unknown: every attempt looks for the snapshot first. Files are removed only once the table has moved on
//! without it, for then the requirement (main is at the snapshot that was read) can never be met again.

use std::collections::BTreeSet;

use backon::Retryable;
use iceberg::table::Table;
use watershed_schema::Epoch;

use super::files::Written;
use super::live;
use super::replace::Next;
use super::updates::Updates;
use crate::table::fence;
use crate::{EventTable, LakeError, waits};

/// What has become of it.
enum State {
    Applied,
    Overtaken,
    Pending,
}

impl EventTable {
    /// Makes the snapshot the newest.
    pub(crate) async fn publish(
        &self,
        updates: &dyn Updates,
        next: &Next,
        epoch: Epoch,
        written: &Written,
    ) -> Result<(), LakeError> {
        let attempt = || self.try_publish(updates, next, epoch, written);
        match attempt.retry(waits::commit()).when(LakeError::is_retryable).await {
            Err(LakeError::Overtaken) => Err(written.remove_after(LakeError::Overtaken).await),
            done => done,
        }
    }

    async fn try_publish(&self, updates: &dyn Updates, next: &Next, epoch: Epoch, written: &Written) -> Result<(), LakeError> {
        let table = self.load().await?;
        match state(&table, next, written).await? {
            State::Applied => return Ok(()),
            State::Overtaken => return Err(LakeError::Overtaken),
            State::Pending => fence(&table, epoch)?,
        }
        fail::fail_point!("lake::before_replace");
        let (requirements, changes) = next.commit();
        updates.update(&self.ident, requirements, changes).await?;
        fail::fail_point!("lake::after_replace");
        Ok(())
    }
}

async fn state(table: &Table, next: &Next, written: &Written) -> Result<State, LakeError> {
    let metadata = table.metadata();
    if metadata.snapshot_by_id(next.snapshot.snapshot_id()).is_some() {
        return Ok(State::Applied);
    }
    if metadata.current_snapshot_id() == next.snapshot.parent_snapshot_id() {
        return Ok(State::Pending);
    }
    // It may have been applied and have expired since: then its files are in the snapshots that followed.
    let files: BTreeSet<String> = written.paths().into_iter().collect();
    Ok(if live::holds_any(table, &files).await? { State::Applied } else { State::Overtaken })
}
