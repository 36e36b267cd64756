//! A lake of many files whose storage counts, and an engine that finds everything there.

#![allow(dead_code, reason = "not every user needs all of it")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt as _;
use uuid::Uuid;
use watershed_catalog::SqliteCatalog;
use watershed_lake::storage::Files;
use watershed_lake::{CommitRequest, FILTER_CACHE_BYTES_DEFAULT, Lake, Rows, Staged, StagedRange, updates_by};
use watershed_query::{Engine, Limits};
use watershed_schema::{BatchBuilder, Column, Epoch, Seq, ShardId, TenantId};

use crate::counting::Counting;
use crate::nothing::Nothing;

pub(crate) const SHARD: ShardId = ShardId(0);
pub(crate) const HOUR_US: i64 = 3_600_000_000;
/// Spans of a trace; the last one falls into the next file.
pub(crate) const SPANS: u64 = 8;
pub(crate) const LIMITS: Limits = Limits { deadline: Duration::from_secs(600), memory_bytes: 1 << 30, rows_max: 1_000_000 };

pub(crate) struct Cold {
    pub(crate) store: Arc<Counting>,
    pub(crate) lake: Lake,
    pub(crate) dir: tempfile::TempDir,
}

/// Equal numbers give equal ids that share nothing with their neighbours'.
fn drawn(number: u64, salt: u64) -> u64 {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(29)
}

pub(crate) fn trace(number: u64) -> String {
    format!("{:016x}{:016x}", drawn(number, 1), drawn(number, 2).wrapping_mul(0x94d0_49bb_1331_11eb))
}

pub(crate) fn session(number: u64) -> String {
    format!("session-{:016x}", drawn(number, 3))
}

pub(crate) fn id(seq: u64) -> String {
    format!("{:016x}{:016x}", drawn(seq / SPANS, 1), drawn(seq, 4))
}

/// Rows `[from, to)` of one hour; a trace begins at every eighth row, a session at every 64th.
pub(crate) fn rows((from, to): (u64, u64), hour: i64) -> Rows {
    let mut batch = BatchBuilder::new(TenantId::default(), 0);
    for seq in from..to {
        batch.row(None, |row| {
            row.str(Column::Id, &id(seq));
            row.str(Column::EventType, "trace");
            row.str(Column::EventName, "GET /");
            row.str(Column::Ns, "default");
            row.int(Column::Timestamp, hour * HOUR_US + i64::try_from(seq - from).expect("small"));
            row.str(Column::TraceId, &trace(seq / SPANS));
            row.str(Column::SessionId, &session(seq / (8 * SPANS)));
        });
    }
    let blocks = vec![(Seq(from), Arc::new(batch.finish().expect("rows")))];
    Rows { shard: SHARD, from_seq: Seq(from), to_seq: Seq(to), blocks }
}

impl Cold {
    pub(crate) async fn new() -> Self {
        Self::with_cache(watershed_lake::CACHE_BYTES_DEFAULT).await
    }

    pub(crate) async fn with_cache(bytes_max: usize) -> Self {
        let (dir, store) = (tempfile::tempdir().expect("a folder"), Counting::new());
        let lake = open(&dir, &store, bytes_max, None).await;
        Self { store, lake, dir }
    }

    /// One that keeps the filters of what it writes in a folder, as a node does.
    pub(crate) async fn keeping() -> Self {
        let mut cold = Self::new().await;
        cold.lake = cold.lake_that_keeps().await;
        cold
    }

    pub(crate) fn kept(&self) -> PathBuf {
        self.dir.path().join("lake-cache")
    }

    async fn lake_that_keeps(&self) -> Lake {
        open(&self.dir, &self.store, watershed_lake::CACHE_BYTES_DEFAULT, Some(&self.kept())).await
    }

    /// What a process that has just started has: the same files, and nothing read of them yet.
    pub(crate) async fn restarted(&self, bytes_max: usize) -> Engine {
        Engine::new(Arc::new(Nothing), Some(Arc::new(open(&self.dir, &self.store, bytes_max, None).await)), LIMITS)
    }

    /// The same with the folder in which filters are kept.
    pub(crate) async fn restarted_keeping(&self) -> Engine {
        Engine::new(Arc::new(Nothing), Some(Arc::new(self.lake_that_keeps().await)), LIMITS)
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::new(Arc::new(Nothing), Some(Arc::new(self.lake.clone())), LIMITS)
    }

    /// So many files of so many rows, an hour each, in commits of `at_once` files.
    pub(crate) async fn fill(&self, files: u64, rows_of_file: u64, at_once: usize) {
        let mut ranges = Vec::new();
        for file in 0..files {
            let (from, to) = (1 + file * rows_of_file, 1 + (file + 1) * rows_of_file);
            let written = self.lake.write(&rows((from, to), i64::try_from(file).expect("small")), Epoch(1)).await;
            ranges.push(StagedRange { shard: SHARD, from_seq: Seq(from), to_seq: Seq(to), files: written.expect("writes") });
            if ranges.len() == at_once || file + 1 == files {
                self.commit(std::mem::take(&mut ranges)).await;
            }
        }
    }

    pub(crate) async fn commit(&self, ranges: Vec<StagedRange>) {
        let request = CommitRequest { ranges, replayed: Staged::default(), epoch: Epoch(1), commit_id: Uuid::now_v7() };
        self.lake.commit(&request).await.expect("commits");
    }
}

async fn open(dir: &tempfile::TempDir, store: &Arc<Counting>, bytes_max: usize, kept: Option<&Path>) -> Lake {
    let files = Files::default().with_local(Arc::clone(store) as _).with_cache(bytes_max);
    let files = kept.iter().fold(files, |files, folder| files.with_filter_cache(folder, FILTER_CACHE_BYTES_DEFAULT));
    let warehouse = format!("file://{}/warehouse", dir.path().display());
    let path = dir.path().join("catalog.db");
    let catalog = Arc::new(SqliteCatalog::open(&path, "watershed", &warehouse, files.io()).await.expect("opens"));
    let port = Arc::clone(&catalog);
    let updates = updates_by(move |table, requirements, updates| {
        let port = Arc::clone(&port);
        async move { port.commit_updates(&table, requirements, updates).await.map(drop) }
    });
    Lake::open(catalog).await.expect("opens").with_files(files).with_updates(updates)
}

/// The number that a query says.
pub(crate) async fn number(engine: &Engine, sql: &str) -> i64 {
    let found = engine.sql(&TenantId::default(), sql, None).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows: Vec<RecordBatch> = found.batches.try_collect().await.expect("reads");
    rows.iter().map(|batch| batch.column(0).as_primitive::<Int64Type>().iter().flatten().sum::<i64>()).sum()
}
