//! Whether a file may hold ids that are looked for, by its bloom filters: what is kept of them on this machine's disk or in
//! memory says so, else the file is asked once.

use std::sync::Arc;

use object_store::{OBJECT_STORE_COALESCE_DEFAULT, coalesce_ranges};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use tokio::sync::SemaphorePermit;
use watershed_schema::Column;

use super::parquet::{Ranges, footer};
use super::{FileToRead, Pinned};
use crate::LakeError;
use crate::cache::LOADED_KIB_MAX;
use crate::filter_cache::{FilterCache, Key};
use crate::filters::{self, OfColumn, OfFile, Wanted};

impl Pinned {
    /// Whether the file may hold one value of each.
    pub(super) async fn may_hold(&self, file: &FileToRead, wanted: &Arc<[Wanted]>) -> Result<bool, LakeError> {
        if let Some(disk) = &self.files.cache().disk {
            if let Some(known) = disk.may_hold(key(file), wanted).await {
                return Ok(known);
            }
            if !disk.rests() {
                return self.load(file, disk, wanted).await;
            }
        }
        for wanted in wanted.iter() {
            let filters = self.of_column(file, wanted.column).await?;
            if !wanted.may_be_in(filters.iter().map(Option::as_ref)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Asks the file for the filters of all columns, for whoever looks for something else next.
    async fn load(&self, file: &FileToRead, disk: &Arc<FilterCache>, wanted: &[Wanted]) -> Result<bool, LakeError> {
        let (from, footer) = self.opened(file).await?;
        let _room = self.room(&footer).await;
        let ranges = filters::ranges(&footer);
        let parts = coalesce_ranges(&ranges, |range| from.read(range), OBJECT_STORE_COALESCE_DEFAULT).await?;
        let filters = Arc::new(OfFile::of(&footer, parts)?);
        if !disk.keep(key(file), Arc::clone(&filters)).await {
            for wanted in wanted {
                let of_column = Arc::new(filters.column(wanted.place));
                self.files.cache().filters.insert((file.path.clone(), wanted.column.name()), of_column).await;
            }
        }
        Ok(filters.may_hold(wanted))
    }

    /// Many files are asked at once, and filters of ids are megabytes: as bytes and taken apart.
    async fn room(&self, footer: &ParquetMetaData) -> Option<SemaphorePermit<'_>> {
        let bytes: u64 = filters::ranges(footer).iter().map(|range| 2 * (range.end - range.start)).sum();
        let kib = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX).min(LOADED_KIB_MAX);
        self.files.cache().loads.acquire_many(kib).await.ok()
    }

    /// The filters of one column, from memory or from the file.
    async fn of_column(&self, file: &FileToRead, column: Column) -> Result<Arc<OfColumn>, LakeError> {
        let (kept, key) = (&self.files.cache().filters, (file.path.clone(), column.name()));
        if let Some(filters) = kept.get(&key).await {
            return Ok(filters);
        }
        let (from, footer) = self.opened(file).await?;
        let mut filters = OfColumn::with_capacity(footer.num_row_groups());
        for group in footer.row_groups() {
            filters.push(match filters::range_in(group.columns(), column) {
                Some(range) => Some(Sbbf::from_bytes(&from.read(range).await?)?),
                None => None,
            });
        }
        let filters = Arc::new(filters);
        kept.insert(key, Arc::clone(&filters)).await;
        Ok(filters)
    }

    /// With its footer, which is not kept: a lookup passes over most files, and theirs would push those out that are read.
    async fn opened(&self, file: &FileToRead) -> Result<(Ranges, ParquetMetaData), LakeError> {
        let mut from = self.open(&file.path, file.size).await?;
        let footer = footer(&mut from, file.size, PageIndexPolicy::Skip).await?;
        Ok((from, footer))
    }
}

fn key(file: &FileToRead) -> Key {
    Key { path: file.path.clone(), size: file.size }
}
