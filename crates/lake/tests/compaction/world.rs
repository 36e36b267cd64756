//! A lake that can be compacted, rows of four partitions for it, and what is in it.

#![allow(dead_code, reason = "not every test file needs all of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::row::{OwnedRow, RowConverter, SortField};
use futures::TryStreamExt as _;
use iceberg::Catalog;
use iceberg::spec::{PrimitiveType, Type};
use iceberg::table::Table;
use iceberg::transaction::{AddColumn, ApplyTransactionAction as _, Transaction};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use watershed_catalog::SqliteCatalog;
use watershed_lake::{CommitRequest, FileFilter, FileToRead, Lake, Rows, storage};
use watershed_schema::{BatchBuilder, Column, Epoch, Seq, ShardId, TenantId};

use crate::port::Port;
use crate::support;

pub(crate) const OURS: ShardId = ShardId(0);
pub(crate) const THEIRS: ShardId = ShardId(1);
const HOUR_US: u64 = 3_600_000_000;
const MARKS: [&str; 3] = ["watershed.watermark", "watershed.epoch", "watershed.commit_id"];

pub(crate) struct World {
    dir: tempfile::TempDir,
    catalog: Arc<SqliteCatalog>,
    pub(crate) port: Arc<Port>,
    pub(crate) lake: Lake,
}

/// Rows whose keys have nothing to do with the order in which they came; two hours and two types in turn.
pub(crate) fn rows(shard: ShardId, range: (u64, u64), payload: &str) -> Rows {
    rows_with(shard, range, Some(payload))
}

pub(crate) fn rows_with(shard: ShardId, (from, to): (u64, u64), payload: Option<&str>) -> Rows {
    let mut batch = BatchBuilder::new(TenantId::default(), 0);
    for seq in from..to {
        let drawn = (seq + 1_000 * u64::from(shard.0)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        batch.row(None, |event| {
            event.str(Column::Id, &format!("id-{shard}-{seq}"));
            event.str(Column::EventType, if seq % 2 == 0 { "trace" } else { "log" });
            event.str(Column::EventName, &format!("name-{}", drawn % 7));
            event.str(Column::Ns, if drawn % 3 == 0 { "default" } else { "other" });
            if drawn % 2 == 0 {
                event.str(Column::ActorId, &format!("actor-{}", drawn % 4));
            } else {
                event.str(Column::AnonymousId, &format!("actor-{}", drawn % 8));
            }
            event.int(Column::Timestamp, i64::try_from((seq / 2 % 2 + 5) * HOUR_US + drawn % 1_000).expect("small"));
            if drawn % 5 != 0 {
                event.str(Column::TraceId, &format!("{:04x}", drawn % 16));
                event.float(Column::DurationMs, 0.5 + f64::from(u32::try_from(drawn % 100).expect("small")));
            }
            // A text that Parquet keeps once for many rows.
            payload.iter().for_each(|payload| event.str(Column::ServiceName, payload));
        });
    }
    let blocks = vec![(Seq(from), Arc::new(batch.finish().expect("rows")))];
    Rows { shard, from_seq: Seq(from), to_seq: Seq(to), blocks }
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let warehouse = format!("file://{}/warehouse", dir.path().display());
        let path = dir.path().join("catalog.db");
        let catalog = Arc::new(SqliteCatalog::open(&path, "watershed", &warehouse, storage::local()).await.expect("opens"));
        let port = Arc::new(Port::new(Arc::clone(&catalog)));
        let lake = Lake::open(Arc::clone(&catalog) as _).await.expect("opens").with_updates(Arc::clone(&port) as _);
        Self { dir, catalog, port, lake }
    }

    /// Writes `[from, to)` of a shard; the request that would make it visible.
    pub(crate) async fn request(&self, shard: ShardId, range: (u64, u64), epoch: Epoch) -> CommitRequest {
        support::request(&self.lake, &rows(shard, range, "{}"), epoch).await
    }

    pub(crate) async fn commit(&self, shard: ShardId, range: (u64, u64), epoch: Epoch) -> CommitRequest {
        let request = self.request(shard, range, epoch).await;
        self.lake.commit(&request).await.expect("commits");
        request
    }

    pub(crate) async fn commit_rows(&self, rows: &Rows, epoch: Epoch) {
        self.lake.commit(&support::request(&self.lake, rows, epoch).await).await.expect("commits");
    }

    pub(crate) async fn add_column(&self, name: &str) {
        let transaction = Transaction::new(&self.table().await);
        let update = transaction.update_schema().add_column(AddColumn::optional(name, Type::Primitive(PrimitiveType::String)));
        update.apply(transaction).expect("applies").commit(self.catalog.as_ref()).await.expect("commits");
    }

    pub(crate) async fn table(&self) -> Table {
        let ident = iceberg::TableIdent::from_strs(["watershed", "events"]).expect("a name");
        self.catalog.load_table(&ident).await.expect("loads")
    }

    pub(crate) async fn files(&self) -> Vec<FileToRead> {
        self.lake.pin().await.expect("pins").files(&FileFilter::default()).await.expect("lists")
    }

    pub(crate) async fn snapshot(&self) -> Option<i64> {
        self.lake.pin().await.expect("pins").snapshot_id
    }

    async fn summary(&self) -> iceberg::spec::Summary {
        self.table().await.metadata().current_snapshot().expect("a snapshot").summary().clone()
    }

    /// What the newest snapshot says of the archive.
    pub(crate) async fn marks(&self) -> BTreeMap<String, String> {
        let all = self.summary().await.additional_properties;
        MARKS.map(|mark| (mark.to_owned(), all[mark].clone())).into()
    }

    pub(crate) async fn properties(&self) -> BTreeMap<String, String> {
        self.table().await.metadata().properties().clone().into_iter().collect()
    }

    /// Operation, files, records, added and deleted files of the newest snapshot.
    pub(crate) async fn counts(&self) -> [(&'static str, u64, u64, u64, u64); 1] {
        let summary = self.summary().await;
        let number = |name: &str| summary.additional_properties[name].parse::<u64>().expect("a number");
        let operation = if summary.operation == iceberg::spec::Operation::Replace { "replace" } else { "another" };
        let (added, deleted) = (number("added-data-files"), number("deleted-data-files"));
        [(operation, number("total-data-files"), number("total-records"), added, deleted)]
    }

    /// Data and file sequence number of every live file.
    pub(crate) async fn sequence_numbers(&self) -> BTreeMap<String, (i64, i64)> {
        let (table, mut numbers) = (self.table().await, BTreeMap::new());
        let list = table.manifest_list_reader(table.metadata().current_snapshot().expect("a snapshot")).load().await;
        for manifest in list.expect("reads").entries() {
            let manifest = manifest.load_manifest(table.file_io()).await.expect("reads");
            for entry in manifest.entries().iter().filter(|entry| entry.is_alive()) {
                let pair = entry.sequence_number().zip(entry.file_sequence_number).expect("numbers");
                assert!(numbers.insert(entry.file_path().to_owned(), pair).is_none(), "{} is listed once", entry.file_path());
            }
        }
        numbers
    }

    /// A file of the table's folder that nobody named.
    pub(crate) fn put(&self, name: &str) {
        let path = self.dir.path().join("warehouse/watershed/events").join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, "x").expect("a file");
    }

    /// Files of the warehouse with this in their name.
    pub(crate) fn on_disk(&self, part: &str) -> BTreeSet<String> {
        let files = walk(&self.dir.path().join("warehouse")).into_iter().map(|path| path.to_string_lossy().into_owned());
        files.filter(|path| path.rsplit('/').next().is_some_and(|name| name.contains(part))).collect()
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// Every row of a table with all its columns, sorted.
pub(crate) async fn content(table: &Table) -> Vec<OwnedRow> {
    let scan = table.scan().select_all().build().expect("a scan");
    let batches: Vec<RecordBatch> = scan.to_arrow().await.expect("reads").try_collect().await.expect("reads");
    let Some(first) = batches.first() else { return Vec::new() };
    let fields = first.schema().fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
    let converter = RowConverter::new(fields).expect("rows");
    let mut rows = Vec::new();
    for batch in batches {
        rows.extend(converter.convert_columns(batch.columns()).expect("rows").iter().map(|row| row.owned()));
    }
    rows.sort();
    rows
}

/// Number of rows of a file, which are in the table's order.
pub(crate) fn sorted_inside(file: &FileToRead) -> usize {
    let opened = File::open(file.path.trim_start_matches("file://")).expect("opens");
    let reader = ParquetRecordBatchReaderBuilder::try_new(opened).expect("is Parquet").build().expect("reads");
    let mut keys = Vec::new();
    for batch in reader.map(|batch| batch.expect("reads")) {
        let columns = [Column::Ns, Column::TraceId, Column::Timestamp]
            .map(|column| Arc::clone(batch.column_by_name(column.name()).expect("a column")));
        let options = SortOptions { descending: false, nulls_first: true };
        let fields = columns.iter().map(|column| SortField::new_with_options(column.data_type().clone(), options)).collect();
        let converter = RowConverter::new(fields).expect("keys");
        keys.extend(converter.convert_columns(&columns).expect("keys").iter().map(|key| key.owned()));
    }
    assert!(keys.is_sorted(), "{}", file.path);
    keys.len()
}
