//! A lake over the real SQLite catalog and real files, and rows for it.

#![allow(dead_code, reason = "not every test file needs all of it")]

use std::path::Path;
use std::sync::Arc;

use iceberg::Catalog;
use uuid::Uuid;
use watershed_catalog::SqliteCatalog;
use watershed_lake::{CommitRequest, FileFilter, Lake, Rows, Staged, StagedRange, storage};
use watershed_schema::{BatchBuilder, Column, Epoch, Seq, ShardId, TenantId};

/// Two hours and a bit after 1970.
const AT_US: i64 = 7_200_000_001;

pub(crate) async fn catalog(dir: &Path) -> Arc<dyn Catalog> {
    let warehouse = format!("file://{}/warehouse", dir.display());
    let path = dir.join("catalog.db");
    Arc::new(SqliteCatalog::open(&path, "watershed", &warehouse, storage::local()).await.expect("opens"))
}

pub(crate) async fn lake(dir: &Path) -> Lake {
    Lake::open(catalog(dir).await).await.expect("opens")
}

/// `[from, to)` of a shard, all of one kind and time.
pub(crate) fn rows(shard: ShardId, range: (u64, u64), kind: &str) -> Rows {
    rows_of("default", shard, range, kind)
}

/// The same of a tenant.
pub(crate) fn rows_of(tenant: &str, shard: ShardId, (from, to): (u64, u64), kind: &str) -> Rows {
    let mut batch = BatchBuilder::new(TenantId::new(tenant).expect("a tenant"), 0);
    for seq in from..to {
        batch.row(None, |event| {
            event.str(Column::Id, &format!("id-{seq}"));
            event.str(Column::EventType, kind);
            event.str(Column::EventName, "x");
            event.str(Column::Ns, tenant);
            event.int(Column::Timestamp, AT_US);
        });
    }
    let blocks = vec![(Seq(from), Arc::new(batch.finish().expect("rows")))];
    Rows { shard, from_seq: Seq(from), to_seq: Seq(to), blocks }
}

/// Writes these rows; the request that would make them visible.
pub(crate) async fn request(lake: &Lake, rows: &Rows, epoch: Epoch) -> CommitRequest {
    let files = lake.write(rows, epoch).await.expect("writes");
    let range = StagedRange { shard: rows.shard, from_seq: rows.from_seq, to_seq: rows.to_seq, files };
    CommitRequest { ranges: vec![range], replayed: Staged::default(), epoch, commit_id: Uuid::now_v7() }
}

pub(crate) async fn rows_in(lake: &Lake) -> u64 {
    let files = lake.pin().await.expect("pins").files(&FileFilter::default()).await.expect("lists");
    files.iter().map(|file| file.rows).sum()
}
