//! One snapshot, held still: its watermark and its files.

use futures::TryStreamExt;
use iceberg::expr::{Predicate, Reference};
use iceberg::scan::FileScanTask;
use iceberg::spec::{Datum, Literal, PrimitiveLiteral};
use iceberg::table::Table;
use watershed_schema::Column;

use crate::storage::{Files, Place};
use crate::table::watermark_of;
use crate::{Lake, LakeError, Watermark};

/// Which files are wanted; empty `event_types` means all.
#[derive(Clone, Debug, Default)]
pub struct FileFilter {
    /// First microsecond since the epoch, inclusive.
    pub from_us: Option<i64>,
    /// End in microseconds since the epoch, exclusive.
    pub to_us: Option<i64>,
    /// Event types.
    pub event_types: Vec<String>,
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
    /// Hour since the epoch of all its timestamps, when they have one.
    pub hour: Option<i32>,
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
    files: Files,
}

impl Lake {
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
        let scan = self.table.scan().select_empty().with_filter(predicate(filter)).build()?;
        let tasks: Vec<FileScanTask> = scan.plan_files().await?.try_collect().await?;
        let mut files: Vec<_> = tasks.into_iter().map(file).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }
}

fn predicate(filter: &FileFilter) -> Predicate {
    let time = || Reference::new(Column::Timestamp.name());
    let from = filter.from_us.map(|us| time().greater_than_or_equal_to(Datum::timestamptz_micros(us)));
    let to = filter.to_us.map(|us| time().less_than(Datum::timestamptz_micros(us)));
    let words = filter.event_types.iter().map(Datum::string);
    let kinds = (!filter.event_types.is_empty()).then(|| Reference::new(Column::EventType.name()).is_in(words));
    [from, to, kinds].into_iter().flatten().fold(Predicate::AlwaysTrue, Predicate::and)
}

fn file(task: FileScanTask) -> FileToRead {
    let hour = task.partition.as_ref().and_then(|partition| match partition.iter().next() {
        Some(Some(Literal::Primitive(PrimitiveLiteral::Int(hour)))) => Some(*hour),
        _ => None,
    });
    let rows = task.record_count.unwrap_or_default();
    FileToRead { path: task.data_file_path, size: task.file_size_in_bytes, rows, hour }
}
