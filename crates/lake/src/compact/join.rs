//! Small files that wait for one commit become one for each partition: shards with few rows each would make a snapshot of
//! many files otherwise.
//!
//! A merge as compaction's, ahead of the commit. It holds nothing up: what cannot be joined is committed as it is.

use std::collections::BTreeSet;

use iceberg::spec::DataFile;
use iceberg::table::Table;

use super::files::Written;
use super::live::LiveFile;
use super::pick::{self, Group};
use super::{CompactionLimits, merged};
use crate::storage::Files;

/// Longer files are left to compaction: a file set that was closed because it was full is longer.
const SMALL_BYTES: u64 = 512 << 10;
/// Less than a round of compaction may do: a commit waits for it.
const LIMITS: CompactionLimits =
    CompactionLimits { target_bytes: 16 << 20, files_max: 256, bytes_max: 64 << 20, decoded_bytes_max: 16 << 20, threads: 1 };

/// What is to be committed.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) files: Vec<DataFile>,
    /// Where the rows of some of them were before; nobody needs these once the others are in a snapshot.
    pub(crate) replaced: BTreeSet<String>,
}

/// Joins files of one spec, the table's default.
pub(crate) async fn joined(table: &Table, mut files: Vec<DataFile>, stored: &Files) -> Joined {
    let spec = table.metadata().default_partition_spec();
    let small = files.iter().filter(|file| file.file_size_in_bytes() < SMALL_BYTES);
    let groups = pick::groups(small.map(|file| LiveFile::of(file, spec, table)).collect(), &LIMITS);
    let written = Written::new(table, "joined", stored);
    let added = match merged(table, &groups, &LIMITS, &written).await {
        Ok((_, added)) => added.into_iter().map(|(_, file)| file),
        Err(error) => {
            let error = written.remove_after(error).await;
            tracing::warn!(%error, "small files are not joined, they are committed as they are");
            return Joined { files, replaced: BTreeSet::new() };
        }
    };
    let replaced = paths(&groups);
    files.retain(|file| !replaced.contains(file.file_path()));
    files.extend(added);
    Joined { files, replaced }
}

fn paths(groups: &[Group]) -> BTreeSet<String> {
    groups.iter().flat_map(|group| &group.files).map(|file| file.path.clone()).collect()
}
