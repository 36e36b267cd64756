//! One snapshot, held still: its watermark and its files.

mod by_seq;
mod filters;
mod parquet;

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::expr::{Predicate, Reference};
use iceberg::scan::FileScanTask;
use iceberg::spec::Datum;
use iceberg::table::Table;
use watershed_schema::Column;

use crate::encoding;
use crate::filters::Wanted;
use crate::storage::{Files, Place};
use crate::table::watermark_of;
use crate::{EventTable, LakeError, Watermark};

pub use by_seq::{FileOfShard, ShardRows};

/// Files whose bloom filters are read at once.
const FILTERS_AT_ONCE: usize = 32;

/// Which files are wanted; what is empty means all.
#[derive(Clone, Debug, Default)]
pub struct FileFilter {
    /// First microsecond since the epoch, inclusive.
    pub from_us: Option<i64>,
    /// End in microseconds since the epoch, exclusive.
    pub to_us: Option<i64>,
    /// Event types.
    pub event_types: Vec<String>,
    /// Value of `ns`.
    pub tenant: Option<String>,
    /// For each of these columns, one of the values: [`FileFilter::IDS`] are looked for in bloom filters, too.
    pub ids: Vec<(Column, Vec<String>)>,
}

impl FileFilter {
    /// Columns of which files have bloom filters.
    pub const IDS: [Column; 3] = encoding::FILTERED;
}

/// A Parquet file of the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileToRead {
    /// Its location.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Rows.
    pub rows: u64,
    /// Whose all of them are, if they are one tenant's and the file was opened before.
    pub owner: Option<Arc<str>>,
}

/// A snapshot of the table; later commits do not change it.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// Its id; none while the table is empty.
    pub snapshot_id: Option<i64>,
    /// Rows below are in it.
    pub watermark: Watermark,
    /// The table as it was.
    pub table: Table,
    pub(crate) files: Files,
}

impl EventTable {
    /// Pins the newest snapshot.
    ///
    /// # Errors
    /// When the catalog or the storage fails.
    pub async fn pin(&self) -> Result<Pinned, LakeError> {
        let table = self.load().await?;
        let (snapshot_id, watermark) = (table.metadata().current_snapshot_id(), watermark_of(&table)?);
        Ok(Pinned { snapshot_id, watermark, table, files: self.files.clone() })
    }
}

impl Pinned {
    /// Where a file is, for those who read it by themselves.
    ///
    /// # Errors
    /// When the location is of an unknown kind, or the settings of its bucket cannot be used.
    pub fn place(&self, path: &str) -> Result<Place, LakeError> {
        Ok(self.files.find(self.table.file_io(), path)?)
    }

    /// Files that may hold matching rows, by path.
    ///
    /// # Errors
    /// When manifests cannot be read.
    pub async fn files(&self, filter: &FileFilter) -> Result<Vec<FileToRead>, LakeError> {
        let Some(snapshot) = self.snapshot_id else { return Ok(Vec::new()) };
        let scan = self.table.scan().snapshot_id(snapshot).select_empty().with_filter(predicate(filter)).build()?;
        let tasks: Vec<FileScanTask> = scan.plan_files().await?.try_collect().await?;
        let files: Vec<_> = tasks.into_iter().map(file).collect();
        let mut files = self.by_bloom_filters(files, &filter.ids).await?;
        for file in &mut files {
            file.owner = self.owner(&file.path).await;
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }
}

impl Pinned {
    /// Without those that have none of the ids; they are asked many at once.
    async fn by_bloom_filters(
        &self,
        files: Vec<FileToRead>,
        ids: &[(Column, Vec<String>)],
    ) -> Result<Vec<FileToRead>, LakeError> {
        let wanted: Arc<[Wanted]> = Wanted::of(ids).into();
        if wanted.is_empty() {
            return Ok(files);
        }
        let wanted = &wanted;
        let asked = stream::iter(files)
            .map(|file| async move { Ok::<_, LakeError>(self.may_hold(&file, wanted).await?.then_some(file)) });
        let kept: Vec<Option<FileToRead>> = asked.buffer_unordered(FILTERS_AT_ONCE).try_collect().await?;
        Ok(kept.into_iter().flatten().collect())
    }
}

fn predicate(filter: &FileFilter) -> Predicate {
    let time = || Reference::new(Column::Timestamp.name());
    let from = filter.from_us.map(|us| time().greater_than_or_equal_to(Datum::timestamptz_micros(us)));
    let to = filter.to_us.map(|us| time().less_than(Datum::timestamptz_micros(us)));
    let words = filter.event_types.iter().map(Datum::string);
    let kinds = (!filter.event_types.is_empty()).then(|| Reference::new(Column::EventType.name()).is_in(words));
    let ns = filter.tenant.iter().map(|ns| Reference::new(Column::Ns.name()).equal_to(Datum::string(ns)));
    let ids = filter.ids.iter().map(|(column, values)| Reference::new(column.name()).is_in(values.iter().map(Datum::string)));
    [from, to, kinds].into_iter().flatten().chain(ns).chain(ids).fold(Predicate::AlwaysTrue, Predicate::and)
}

fn file(task: FileScanTask) -> FileToRead {
    let rows = task.record_count.unwrap_or_default();
    FileToRead { path: task.data_file_path, size: task.file_size_in_bytes, rows, owner: None }
}
