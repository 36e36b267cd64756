//! Files of one shard by sequence number: for who reads its past in order.

use watershed_schema::{Seq, ShardId, TenantId};

use super::{FileToRead, Pinned};
use crate::{FileInfo, LakeError};

/// Which rows: a tenant's of one shard, `[from, to)`, not before a time.
#[derive(Clone, Debug)]
pub struct ShardRows {
    /// Owner.
    pub tenant: TenantId,
    /// The shard.
    pub shard: ShardId,
    /// First row.
    pub from: Seq,
    /// Behind the last.
    pub to: Seq,
    /// Only at or after, microseconds since 1970.
    pub from_us: Option<i64>,
}

/// A file that may hold some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOfShard {
    /// The file.
    pub file: FileToRead,
    /// None of its rows has a lower number.
    pub from: Seq,
    /// All of its rows have a lower number.
    pub to: Seq,
}

impl Pinned {
    /// Files that may hold these rows, by their lowest number: who reads them in this order may stop at the first that begins
    /// behind what it wants. Bounds in the manifests decide; no file is opened.
    ///
    /// # Errors
    /// When manifests cannot be read.
    pub async fn files_of_shard(&self, wanted: &ShardRows) -> Result<Vec<FileOfShard>, LakeError> {
        let all = self.contents("").await?;
        let mut files: Vec<_> = all.into_iter().filter(|file| wanted.may_be_in(file)).map(of_shard).collect();
        files.sort_by(|a, b| (a.from, &a.file.path).cmp(&(b.from, &b.file.path)));
        Ok(files)
    }
}

impl ShardRows {
    fn may_be_in(&self, file: &FileInfo) -> bool {
        let shard = i64::from(self.shard.0);
        let tenant = self.tenant.as_str();
        file.content == "data"
            && file.shards.is_none_or(|(from, to)| (from..=to).contains(&shard))
            && file.seqs.is_none_or(|(from, to)| number(from) < self.to && number(to) >= self.from)
            && file.times_us.zip(self.from_us).is_none_or(|((_, last), from_us)| last >= from_us)
            && file.tenants.as_ref().is_none_or(|(from, to)| from.as_str() <= tenant && tenant <= to.as_str())
    }
}

fn of_shard(file: FileInfo) -> FileOfShard {
    let (from, to) = file.seqs.map_or((Seq::FIRST, Seq(u64::MAX)), |(first, last)| (number(first), Seq(number(last).0 + 1)));
    FileOfShard { file: FileToRead { path: file.path, size: file.bytes, rows: file.rows, owner: None }, from, to }
}

fn number(seq: i64) -> Seq {
    Seq(u64::try_from(seq).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> FileInfo {
        FileInfo {
            path: "a".to_owned(),
            partition: String::new(),
            content: "data",
            rows: 10,
            bytes: 100,
            shards: Some((2, 4)),
            seqs: Some((10, 19)),
            times_us: Some((1_000, 2_000)),
            tenants: Some(("b".to_owned(), "d".to_owned())),
        }
    }

    fn rows() -> ShardRows {
        ShardRows { tenant: TenantId::new("c").unwrap(), shard: ShardId(3), from: Seq(1), to: Seq(100), from_us: None }
    }

    #[test]
    fn bounds_decide_and_a_file_without_bounds_may_hold_anything() {
        let is_in = |rows: ShardRows| rows.may_be_in(&file());
        assert!(is_in(rows()));
        assert!(!is_in(ShardRows { shard: ShardId(1), ..rows() }));
        assert!(!is_in(ShardRows { shard: ShardId(5), ..rows() }));
        assert!(is_in(ShardRows { from: Seq(19), ..rows() }) && !is_in(ShardRows { from: Seq(20), ..rows() }));
        assert!(is_in(ShardRows { to: Seq(11), ..rows() }) && !is_in(ShardRows { to: Seq(10), ..rows() }));
        assert!(is_in(ShardRows { from_us: Some(2_000), ..rows() }) && !is_in(ShardRows { from_us: Some(2_001), ..rows() }));
        for tenant in ["a", "e"] {
            assert!(!is_in(ShardRows { tenant: TenantId::new(tenant).unwrap(), ..rows() }), "{tenant}");
        }
        let silent = FileInfo { shards: None, seqs: None, times_us: None, tenants: None, ..file() };
        assert!(rows().may_be_in(&silent));
        assert!(!rows().may_be_in(&FileInfo { content: "position-deletes", ..silent }));
    }
}
