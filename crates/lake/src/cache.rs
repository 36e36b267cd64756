//! What was read of files that never change, by path: metadata as bytes, footers of Parquet files, and their bloom filters.
//!
//! Names hold an epoch or a UUID, so what a path says once it says for ever. Each kind has a share of the bytes of its own:
//! a footer is a hundred kilobytes for our columns, and a scan of many files must not push the filters out.

use std::sync::Arc;

use bytes::Bytes;
use moka::future::Cache as Kept;
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::ParquetMetaData;

/// Bytes when nothing else is said.
pub const CACHE_BYTES_DEFAULT: usize = 64 << 20;

/// Of all bytes: a quarter for metadata, a quarter for footers, a part of that for tenants, the rest for filters.
const SHARE: u64 = 4;
/// Beside the value: key, lists, counters.
const ENTRY_BYTES: usize = 128;

/// Bloom filters of one column of a file, one for each row group; `None` where a row group has none.
pub(crate) type Filters = Vec<Option<Sbbf>>;

/// A cache for all tables that are reached through the same [`crate::storage::Files`]. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    pub(crate) metadata: Kept<String, Bytes>,
    pub(crate) footers: Kept<String, Arc<ParquetMetaData>>,
    pub(crate) filters: Kept<(String, &'static str), Arc<Filters>>,
    /// Of files whose footer was read: whose all of its rows are, if they are one tenant's. Small, so it outlives the footer.
    pub(crate) owners: Kept<String, Option<Arc<str>>>,
}

impl Default for Cache {
    fn default() -> Self {
        Self::new(CACHE_BYTES_DEFAULT)
    }
}

impl Cache {
    /// Keeps about `bytes_max` at most; with 0, nothing.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max as u64;
        let quarter = bytes_max / SHARE;
        let part = quarter / SHARE;
        let metadata = Kept::builder().weigher(|path: &String, bytes: &Bytes| weight(path, bytes.len()));
        let footers = Kept::builder().weigher(|path: &String, footer: &Arc<ParquetMetaData>| weight(path, footer.memory_size()));
        let filters = Kept::builder().weigher(|(path, _): &(String, &str), of: &Arc<Filters>| weight(path, bytes_of(of)));
        let owners =
            Kept::builder().weigher(|path: &String, of: &Option<Arc<str>>| weight(path, of.as_ref().map_or(0, |of| of.len())));
        Self {
            metadata: metadata.max_capacity(quarter).build(),
            footers: footers.max_capacity(quarter).build(),
            filters: filters.max_capacity(bytes_max - 2 * quarter - part).build(),
            owners: owners.max_capacity(part).build(),
        }
    }

    /// Bytes that are held now, about.
    #[cfg(test)]
    async fn bytes(&self) -> u64 {
        self.metadata.run_pending_tasks().await;
        self.footers.run_pending_tasks().await;
        self.filters.run_pending_tasks().await;
        self.owners.run_pending_tasks().await;
        let metadata = self.metadata.weighted_size() + self.footers.weighted_size();
        metadata + self.filters.weighted_size() + self.owners.weighted_size()
    }
}

fn weight(path: &str, bytes: usize) -> u32 {
    u32::try_from(bytes + path.len() + ENTRY_BYTES).unwrap_or(u32::MAX)
}

fn bytes_of(filters: &Filters) -> usize {
    filters.iter().flatten().map(|filter| filter.num_blocks() * size_of::<[u32; 8]>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_is_kept_than_was_said() {
        let cache = Cache::new(40_000);
        for n in 0..100 {
            cache.metadata.insert(format!("m{n}"), Bytes::from(vec![0; 1_000])).await;
            let filter = Sbbf::new_with_num_of_bytes(1_024);
            cache.filters.insert((format!("f{n}"), "id"), Arc::new(vec![Some(filter)])).await;
        }
        let held = cache.bytes().await;
        assert!((20_000..=40_000).contains(&held), "{held}");
        let none = Cache::new(0);
        none.metadata.insert("m".to_owned(), Bytes::from_static(b"x")).await;
        assert_eq!(none.bytes().await, 0);
    }
}
