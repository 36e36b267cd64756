//! The files of snapshots that are to go, less what those that stay name.

use std::collections::BTreeSet;

use futures::{StreamExt as _, stream};
use iceberg::io::FileIO;
use iceberg::spec::SnapshotRef;
use iceberg::table::Table;

use crate::{LakeError, named};

/// Deletions that are on their way at a time.
const DELETES: usize = 8;

pub(super) struct Gone {
    /// Lists, manifests and statistics.
    metadata: BTreeSet<String>,
    data: BTreeSet<String>,
}

impl Gone {
    /// What these snapshots name and the others of the table do not, read while all are there.
    pub(super) async fn of(table: &Table, ids: &[i64]) -> Result<Self, LakeError> {
        let snapshots = ids.iter().filter_map(|id| table.metadata().snapshot_by_id(*id)).collect::<Vec<_>>();
        let stay = manifests_of_others(table, ids).await?;
        let mut manifests = named::manifests(table, snapshots.iter().copied()).await?;
        manifests.retain(|path, _| !stay.contains(path));
        let mut data = BTreeSet::new();
        named::files(table, manifests.values(), |path| {
            data.insert(path.to_owned());
        })
        .await?;
        let mut metadata: BTreeSet<String> = manifests.into_keys().collect();
        metadata.extend(snapshots.iter().map(|snapshot| snapshot.manifest_list().to_owned()));
        for id in ids {
            metadata.extend(table.metadata().statistics_for_snapshot(*id).map(|file| file.statistics_path.clone()));
            metadata.extend(table.metadata().partition_statistics_for_snapshot(*id).map(|file| file.statistics_path.clone()));
        }
        Ok(Self { metadata, data })
    }

    /// Deletes what the table as it is `now` does not name: how many files, and how many could not be deleted.
    pub(super) async fn delete(mut self, now: &Table) -> Result<(usize, usize), LakeError> {
        let manifests = named::manifests(now, now.metadata().snapshots()).await?;
        named::files(now, manifests.values(), |path| {
            self.data.remove(path);
        })
        .await?;
        self.metadata.retain(|path| !manifests.contains_key(path));
        for snapshot in now.metadata().snapshots() {
            self.metadata.remove(snapshot.manifest_list());
        }
        // Data first: what names a file goes after it, so that a half-done deletion can still be told from the metadata.
        let (data, left) = delete(now.file_io(), self.data).await;
        let (metadata, more_left) = delete(now.file_io(), self.metadata).await;
        Ok((data + metadata, left + more_left))
    }
}

async fn manifests_of_others(table: &Table, ids: &[i64]) -> Result<BTreeSet<String>, LakeError> {
    let ids: BTreeSet<i64> = ids.iter().copied().collect();
    let others = table.metadata().snapshots().filter(|snapshot: &&SnapshotRef| !ids.contains(&snapshot.snapshot_id()));
    Ok(named::manifests(table, others).await?.into_keys().collect())
}

/// Deletes files: how many were, and how many could not be.
pub(crate) async fn delete(io: &FileIO, paths: impl IntoIterator<Item = String>) -> (usize, usize) {
    let one = |path: String| async move {
        let done = io.delete(&path).await;
        done.inspect_err(|error| tracing::warn!(path, %error, "a file that nobody needs stays, as an orphan")).is_ok()
    };
    let done: Vec<bool> = stream::iter(paths).map(one).buffer_unordered(DELETES).collect().await;
    let deleted = done.iter().filter(|done| **done).count();
    (deleted, done.len() - deleted)
}
