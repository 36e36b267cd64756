//! What was read of files that never change, by path: metadata as bytes, footers of Parquet files, and their bloom filters.
//!
//! Names hold an epoch or a UUID, so what a path says once it says for ever. Each kind has a share of the bytes of its own:
//! a footer is a hundred kilobytes for our columns, and a scan of many files must not push the filters out. Filters may be
//! kept on a disk instead ([`crate::filter_cache`]): what is here of them is then what the disk did not take.

use std::sync::Arc;

use bytes::Bytes;
use moka::future::Cache as Kept;
use parquet::file::metadata::ParquetMetaData;
use tokio::sync::Semaphore;

use crate::filter_cache::{FilterCache, Key};
use crate::filters::{BLOCK_BYTES, OfColumn, OfFile};

/// Bytes when nothing else is said.
pub const CACHE_BYTES_DEFAULT: usize = 64 << 20;

/// Of all bytes: a quarter for metadata, a quarter for footers, a part of that for tenants, the rest for filters.
const SHARE: u64 = 4;
/// Beside the value: key, lists, counters.
const ENTRY_BYTES: usize = 128;

/// Bytes of filters that are on their way from files to the disk at once, in KiB.
pub(crate) const LOADED_KIB_MAX: u32 = 16 << 10;

/// A cache for all tables that are reached through the same [`crate::storage::Files`]. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    pub(crate) metadata: Kept<String, Bytes>,
    pub(crate) footers: Kept<String, Arc<ParquetMetaData>>,
    pub(crate) filters: Kept<(String, &'static str), Arc<OfColumn>>,
    /// Of files whose footer was read: whose all of its rows are, if they are one tenant's. Small, so it outlives the footer.
    pub(crate) owners: Kept<String, Option<Arc<str>>>,
    pub(crate) disk: Option<Arc<FilterCache>>,
    /// Permits of a KiB each for filters that are read to be put onto the disk.
    pub(crate) loads: Arc<Semaphore>,
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
        let filters = Kept::builder().weigher(|(path, _): &(String, &str), of: &Arc<OfColumn>| weight(path, bytes_of(of)));
        let owners =
            Kept::builder().weigher(|path: &String, of: &Option<Arc<str>>| weight(path, of.as_ref().map_or(0, |of| of.len())));
        Self {
            metadata: metadata.max_capacity(quarter).build(),
            footers: footers.max_capacity(quarter).build(),
            filters: filters.max_capacity(bytes_max - 2 * quarter - part).build(),
            owners: owners.max_capacity(part).build(),
            disk: None,
            loads: Arc::new(Semaphore::new(LOADED_KIB_MAX as usize)),
        }
    }

    /// Keeps the filters of a file that was written just now, of which this is the end: nobody need read them again.
    pub(crate) async fn keep_written(&self, key: Key, (tail, from): (&Bytes, u64), footer: &ParquetMetaData) {
        if let Some(disk) = &self.disk
            && let Some(filters) = OfFile::in_tail(tail, from, footer)
        {
            disk.keep(key, Arc::new(filters)).await;
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

fn bytes_of(filters: &OfColumn) -> usize {
    filters.iter().flatten().map(|filter| filter.num_blocks() * BLOCK_BYTES).sum()
}

#[cfg(test)]
mod tests {
    use parquet::bloom_filter::Sbbf;

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
