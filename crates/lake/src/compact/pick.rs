//! Which small files are worth a merge. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use iceberg::spec::Struct;

use super::CompactionLimits;
use super::live::LiveFile;
use super::order::INPUTS_MAX;

/// A file that is longer than all others of its group together, by this factor, is left alone: else every new small file
/// would make it be written again. With it a file grows by half at least each time, so a byte is written about ten times.
const LONGEST_TO_REST_MAX: u64 = 2;

/// Each input of a merge holds a page of the column that is worked on, about so long, or all of the file where that is shorter.
const PAGE_BYTES: u64 = 1 << 20;

/// Files of one partition that become one.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) partition: Struct,
    pub(super) files: Vec<LiveFile>,
}

impl Group {
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    pub(super) fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }
}

/// A group of each partition, as far as the limits go; partitions with most small files first.
pub(super) fn groups(small: Vec<LiveFile>, limits: &CompactionLimits) -> Vec<Group> {
    let mut partitions: BTreeMap<String, Vec<LiveFile>> = BTreeMap::new();
    for file in small {
        partitions.entry(file.folder.clone()).or_default().push(file);
    }
    let mut partitions: Vec<_> = partitions.into_values().collect();
    partitions.sort_by_key(|files| Reverse(files.len()));
    let (mut files_left, mut bytes_left, mut groups) = (limits.files_max.min(INPUTS_MAX), limits.bytes_max, Vec::new());
    for files in partitions {
        let most = Most {
            files: files_left,
            bytes: bytes_left.min(limits.target_bytes),
            pages_bytes: limits.decoded_bytes_max as u64 / 2,
        };
        let Some(group) = group(files, &most) else { continue };
        files_left -= group.files.len();
        bytes_left -= group.bytes();
        groups.push(group);
    }
    groups
}

/// What a group may be.
struct Most {
    files: usize,
    bytes: u64,
    /// Half of what may be decoded: more inputs than that would have to decode pages several times, and beside it the rest of
    /// a merge grows with them, too.
    pages_bytes: u64,
}

/// The shortest files that fit; two at least.
fn group(mut files: Vec<LiveFile>, most: &Most) -> Option<Group> {
    files.sort_by(|a, b| (a.bytes, &a.path).cmp(&(b.bytes, &b.path)));
    files.truncate(most.files);
    let (mut bytes, mut pages_bytes) = (0, 0);
    files.retain(|file| {
        bytes += file.bytes;
        pages_bytes += file.bytes.min(PAGE_BYTES);
        bytes <= most.bytes && pages_bytes <= most.pages_bytes
    });
    let mut rest: u64 = files.iter().map(|file| file.bytes).sum();
    while let Some(longest) = files.last() {
        rest -= longest.bytes;
        if longest.bytes <= rest * LONGEST_TO_REST_MAX {
            break;
        }
        files.pop();
    }
    let partition = files.first()?.partition.clone();
    (files.len() > 1).then_some(Group { partition, files })
}

#[cfg(test)]
mod tests {
    use iceberg::spec::Literal;

    use super::*;

    const LIMITS: CompactionLimits =
        CompactionLimits { target_bytes: 100, files_max: 8, bytes_max: 150, decoded_bytes_max: 1 << 20, threads: 1 };

    fn file(folder: &str, bytes: u64) -> LiveFile {
        let partition = Struct::from_iter([Some(Literal::string(folder))]);
        LiveFile { path: format!("{folder}/{bytes}"), bytes, rows: bytes, partition, folder: folder.to_owned() }
    }

    fn picked(files: &[(&str, u64)], limits: &CompactionLimits) -> Vec<(String, Vec<u64>)> {
        let groups = groups(files.iter().map(|(folder, bytes)| file(folder, *bytes)).collect(), limits);
        let told = |group: Group| (group.files[0].folder.clone(), group.files.iter().map(|file| file.bytes).collect());
        groups.into_iter().map(told).collect()
    }

    #[test]
    fn files_of_one_partition_alone_and_two_at_least() {
        let found = picked(&[("a", 5), ("b", 7), ("b", 6), ("c", 3), ("b", 8), ("c", 3)], &LIMITS);
        assert_eq!(found, [("b".to_owned(), vec![6, 7, 8]), ("c".to_owned(), vec![3, 3])]);
    }

    #[test]
    fn a_group_fits_into_one_file() {
        assert_eq!(picked(&[("a", 40), ("a", 30), ("a", 31), ("a", 45)], &LIMITS), [("a".to_owned(), vec![30, 31])]);
    }

    #[test]
    fn a_long_file_waits_until_there_is_enough_to_join_it() {
        assert_eq!(picked(&[("a", 40), ("a", 5), ("a", 6)], &LIMITS), [("a".to_owned(), vec![5, 6])]);
        assert_eq!(picked(&[("a", 40), ("a", 5)], &LIMITS), []);
        assert_eq!(picked(&[("a", 40), ("a", 12), ("a", 9)], &LIMITS), [("a".to_owned(), vec![9, 12, 40])]);
    }

    #[test]
    fn a_merge_has_no_more_inputs_than_their_pages_fit() {
        let mib = 1 << 20;
        let files: Vec<_> = (0..40).map(|_| ("a", 3 * mib)).chain((0..40).map(|_| ("b", mib / 2))).collect();
        let limits = CompactionLimits { target_bytes: 1 << 40, files_max: 100, bytes_max: 1 << 40, ..LIMITS };
        let lengths = |decoded_bytes_max| {
            let groups = picked(&files, &CompactionLimits { decoded_bytes_max, ..limits });
            groups.iter().map(|(folder, files)| (folder.clone(), files.len())).collect::<Vec<_>>()
        };
        assert_eq!(lengths(64 << 20), [("a".to_owned(), 32), ("b".to_owned(), 40)]);
        assert_eq!(lengths(20 << 20), [("a".to_owned(), 10), ("b".to_owned(), 20)]);
    }

    #[test]
    fn a_round_has_limits() {
        let many: Vec<_> = (1..=6).map(|_| ("a", 10)).chain((1..=5).map(|_| ("b", 10))).collect();
        let lengths = |limits: &CompactionLimits| picked(&many, limits).iter().map(|(_, files)| files.len()).collect::<Vec<_>>();
        assert_eq!(lengths(&LIMITS), [6, 2]);
        assert_eq!(lengths(&CompactionLimits { files_max: 100, bytes_max: 90, ..LIMITS }), [6, 3]);
        assert_eq!(lengths(&CompactionLimits { files_max: 1, ..LIMITS }), [0; 0]);
    }
}
