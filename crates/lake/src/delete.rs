//! Rows that must go: copy-on-write. Files that hold nothing else are dropped, others are written anew without them.
//!
//! A file is judged by its statistics first, then by the few columns that the question is about; only what holds both rows
//! that go and rows that stay is decoded. What was replaced goes from the disk with the snapshots that name it.

mod doomed;
mod rewrite;

use std::collections::BTreeSet;

use iceberg::spec::{DataFile, ManifestFile, Operation, PartitionSpecRef};
use iceberg::table::Table;
use watershed_schema::Epoch;

use crate::compact::files::Written;
use crate::compact::live::{self, LiveFile};
use crate::compact::replace::Replacement;
use crate::table::fence;
use crate::{CompactionLimits, EventTable, LakeError};

pub use doomed::Doomed;

use doomed::{Bounds, Verdict};

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Rows that are gone.
    pub rows: u64,
    /// Files that were taken away: dropped, or replaced.
    pub files_before: usize,
    /// Files that were written in their place.
    pub files_after: usize,
    /// Bytes of the files that were taken away.
    pub bytes_before: u64,
    /// Bytes of the files in their place.
    pub bytes_after: u64,
}

/// A file with rows that go.
struct Hit {
    file: LiveFile,
    spec: PartitionSpecRef,
    /// Rows that go.
    rows: u64,
}

impl EventTable {
    /// Takes these rows away, as far as the limits go; `None` when there are none. Called again until then, all are gone
    /// that were in the lake when it began.
    ///
    /// # Errors
    /// As [`EventTable::compact`].
    pub async fn delete(&self, doomed: &Doomed, limits: &CompactionLimits, epoch: Epoch) -> Result<Option<Deleted>, LakeError> {
        let updates = self.way_in()?;
        let table = self.load().await?;
        fence(&table, epoch)?;
        let hits = hits(&table, doomed, limits).await?;
        if hits.is_empty() {
            return Ok(None);
        }
        let written = Written::new(&table, "compacted", &self.files);
        let (round, added) = match rewritten(&table, &hits, doomed, limits, &written).await {
            Ok(done) => done,
            Err(error) => return Err(written.remove_after(error).await),
        };
        let operation = if added.is_empty() { Operation::Delete } else { Operation::Overwrite };
        let taken: BTreeSet<String> = hits.into_iter().map(|hit| hit.file.path).collect();
        let next = match Replacement::new(&table, taken, added, &written).snapshot(operation).await {
            Ok(next) => next,
            Err(error) => return Err(written.remove_after(error).await),
        };
        self.publish(updates, &next, epoch, &written).await?;
        Ok(Some(round))
    }
}

/// Files with rows that go, as many as a round may touch.
async fn hits(table: &Table, doomed: &Doomed, limits: &CompactionLimits) -> Result<Vec<Hit>, LakeError> {
    live::check_format(table)?;
    let (mut hits, mut bytes_left) = (Vec::new(), limits.bytes_max);
    for manifest in live::manifests(table).await? {
        live::check(&manifest)?;
        let spec = spec_of(table, &manifest)?;
        for entry in manifest.load_manifest(table.file_io()).await?.entries().iter().filter(|entry| entry.is_alive()) {
            let file = entry.data_file();
            let rows = match doomed.verdict(&Bounds::of(file)) {
                Verdict::None => 0,
                Verdict::All => file.record_count(),
                Verdict::Some => {
                    let place = (file.file_path(), file.file_size_in_bytes());
                    rewrite::gone(table, place, doomed).await?.count_set_bits() as u64
                }
            };
            if rows == 0 {
                continue;
            }
            let is_written = rows < file.record_count();
            let file = LiveFile::of(file, &spec, table);
            if hits.len() >= limits.files_max || is_written && !hits.is_empty() && file.bytes > bytes_left {
                return Ok(hits);
            }
            bytes_left = bytes_left.saturating_sub(if is_written { file.bytes } else { 0 });
            hits.push(Hit { file, spec: spec.clone(), rows });
        }
    }
    Ok(hits)
}

fn spec_of(table: &Table, manifest: &ManifestFile) -> Result<PartitionSpecRef, LakeError> {
    let id = manifest.partition_spec_id;
    let unknown = || LakeError::NotCompactable(format!("the table has no partition spec {id}"));
    table.metadata().partition_spec_by_id(id).cloned().ok_or_else(unknown)
}

/// The files in place of those that were hit, each of the spec of the one it comes from.
async fn rewritten(
    table: &Table,
    hits: &[Hit],
    doomed: &Doomed,
    limits: &CompactionLimits,
    written: &Written,
) -> Result<(Deleted, Vec<(PartitionSpecRef, DataFile)>), LakeError> {
    let (mut round, mut added) = (Deleted::default(), Vec::new());
    for hit in hits {
        round.files_before += 1;
        round.bytes_before += hit.file.bytes;
        round.rows += hit.rows;
        if hit.rows == hit.file.rows {
            continue;
        }
        let rewritten = rewrite::without(table, hit, doomed, limits, written).await?;
        let files: Vec<DataFile> = rewritten.into_iter().map(|one| one.file).collect();
        let kept: u64 = files.iter().map(DataFile::record_count).sum();
        if kept + hit.rows != hit.file.rows {
            let (path, rows) = (&hit.file.path, hit.file.rows);
            return Err(LakeError::NotCompactable(format!("{path} has {rows} rows: {} go, {kept} were kept", hit.rows)));
        }
        round.files_after += files.len();
        round.bytes_after += files.iter().map(DataFile::file_size_in_bytes).sum::<u64>();
        added.extend(files.into_iter().map(|file| (hit.spec.clone(), file)));
    }
    Ok((round, added))
}
