//! Many small files of a partition become few, and no row changes: the snapshot that holds them replaces the one that was
//! read, or nothing happens.
//!
//! Replaced files stay on the disk, for those who pinned an older snapshot. Must not know shards or sequence numbers:
//! watermark, epoch and commit id are carried over as they are.

mod column;
mod encode;
pub(crate) mod files;
mod held;
mod join;
pub(crate) mod live;
mod manifests;
mod memory;
pub(crate) mod order;
mod pick;
mod publish;
mod reader;
pub(crate) mod replace;
pub(crate) mod rewrite;
mod source;
mod summary;
mod updates;

use std::thread;

use iceberg::spec::{DataFile, Operation, PartitionSpecRef};
use iceberg::table::Table;
use watershed_schema::Epoch;

use crate::table::fence;
use crate::{EventTable, LakeError};

pub(crate) use join::{Joined, joined};
pub use updates::{Updates, updates_by};

use files::Written;
use pick::Group;
use replace::Replacement;
use rewrite::{Rewrite, Rewritten};

/// How much one round of compaction may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionLimits {
    /// Length of the files it aims at, in bytes; files of half of that are left alone.
    pub target_bytes: u64,
    /// Most files that are replaced in a round.
    pub files_max: usize,
    /// Most bytes of files that are replaced in a round.
    pub bytes_max: u64,
    /// Most bytes of decoded rows that a merge holds, whatever the number of its inputs, and one page more for each thread.
    /// As many bytes of files are held, half of them read and half written, or the longest column of all inputs twice.
    pub decoded_bytes_max: usize,
    /// Threads that encode columns.
    pub threads: usize,
}

/// Cores that a round takes, where there are as many: more would wait for the longest column.
const THREADS_MAX: usize = 2;

impl Default for CompactionLimits {
    fn default() -> Self {
        let mib = 1 << 20;
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        Self { target_bytes: 128 * mib, files_max: 256, bytes_max: 256 * mib, decoded_bytes_max: 64 << 20, threads }
    }
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Files that were replaced.
    pub files_before: usize,
    /// Files in their place.
    pub files_after: usize,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of the replaced files.
    pub bytes_before: u64,
    /// Bytes of the files in their place.
    pub bytes_after: u64,
    /// Most bytes of decoded rows that were in memory at a time.
    pub decoded_bytes_peak: usize,
}

impl EventTable {
    /// Replaces small files by longer ones, once; `None` when there is nothing to gain. Decoding and encoding are work for
    /// a thread of its own. A dropped call leaves files that no snapshot names.
    ///
    /// # Errors
    /// [`LakeError::Overtaken`] when another commit came first and [`LakeError::Fenced`]: nothing is changed.
    /// [`LakeError::NotCompactable`] for a table that others have given deletes, or a catalog without [`Updates`].
    /// [`LakeError::Iceberg`] may mean unknown: the next round sees what is the case.
    pub async fn compact(&self, limits: &CompactionLimits, epoch: Epoch) -> Result<Option<Compacted>, LakeError> {
        let updates = self.way_in()?;
        let table = self.load().await?;
        fence(&table, epoch)?;
        let groups = pick::groups(live::small_files(&table, limits.target_bytes / 2).await?, limits);
        if groups.is_empty() {
            return Ok(None);
        }
        let written = Written::new(&table, "compacted", &self.files);
        let (round, added) = match merged(&table, &groups, limits, &written).await {
            Ok(done) => done,
            Err(error) => return Err(written.remove_after(error).await),
        };
        let replaced = groups.iter().flat_map(|group| &group.files).map(|file| file.path.clone()).collect();
        let next = match Replacement::new(&table, replaced, added, &written).snapshot(Operation::Replace).await {
            Ok(next) => next,
            Err(error) => return Err(written.remove_after(error).await),
        };
        self.publish(updates, &next, epoch, &written).await?;
        Ok(Some(round))
    }
}

/// The new files of all groups, and what they are.
async fn merged(
    table: &Table,
    groups: &[Group],
    limits: &CompactionLimits,
    written: &Written,
) -> Result<(Compacted, Vec<(PartitionSpecRef, DataFile)>), LakeError> {
    let (mut round, mut added) = (Compacted::default(), Vec::new());
    for group in groups {
        let rewritten = rewrite(table, group, limits, written).await?;
        round.decoded_bytes_peak = rewritten.iter().map(|one| one.decoded_bytes_peak).fold(round.decoded_bytes_peak, usize::max);
        let files: Vec<DataFile> = rewritten.into_iter().map(|one| one.file).collect();
        round.files_before += group.files.len();
        round.bytes_before += group.bytes();
        round.files_after += files.len();
        round.bytes_after += files.iter().map(DataFile::file_size_in_bytes).sum::<u64>();
        round.rows += same_rows(group, &files)?;
        added.extend(files.into_iter().map(|file| (table.metadata().default_partition_spec().clone(), file)));
    }
    Ok((round, added))
}

async fn rewrite(
    table: &Table,
    group: &Group,
    limits: &CompactionLimits,
    written: &Written,
) -> Result<Option<Rewritten>, LakeError> {
    let rewrite = Rewrite::open(table, &group.files, limits, written).await?;
    let order = rewrite.merged().await?;
    rewrite.write(&order, (table.metadata().default_partition_spec(), group.partition.clone())).await
}

/// What the manifests say of the replaced files must be true of the new ones: rows are never lost by a merge.
fn same_rows(group: &Group, files: &[DataFile]) -> Result<u64, LakeError> {
    let (before, after) = (group.rows(), files.iter().map(DataFile::record_count).sum::<u64>());
    if before == after {
        return Ok(after);
    }
    let first = group.files.first().map_or("", |file| file.path.as_str());
    Err(LakeError::NotCompactable(format!("{after} rows were read of {before} in {} files, {first} first", group.files.len())))
}
