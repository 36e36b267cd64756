//! SQL over a lake in a bucket of a real S3 server.

#[path = "support/nothing.rs"]
mod nothing;
#[path = "../../lake/tests/support/servers.rs"]
mod servers;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt as _;
use uuid::Uuid;
use watershed_catalog::SqliteCatalog;
use watershed_lake::storage::Files;
use watershed_lake::{CommitRequest, Lake, Rows, Staged, StagedRange};
use watershed_query::{Engine, Limits};
use watershed_schema::{BatchBuilder, Column, Epoch, Seq, ShardId, TenantId};

use nothing::Nothing;
use servers::{BUCKET, Moto};

const SHARD: ShardId = ShardId(0);
const ROWS: u64 = 30;

fn rows() -> Rows {
    let mut batch = BatchBuilder::new(TenantId::default(), 0);
    for n in 0..ROWS {
        batch.row(None, |row| {
            row.str(Column::Id, &format!("id-{n}"));
            row.str(Column::EventType, ["trace", "../log"][(n % 2) as usize]);
            row.str(Column::EventName, "x");
            row.str(Column::Ns, "default");
            row.int(Column::Timestamp, i64::try_from(n).expect("small") * 1_000_000_000);
        });
    }
    let blocks = vec![(Seq::FIRST, Arc::new(batch.finish().expect("rows")))];
    Rows { shard: SHARD, from_seq: Seq::FIRST, to_seq: Seq(ROWS + 1), blocks }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_bucket_are_found_by_sql() {
    let (moto, dir) = (Moto::start(), tempfile::tempdir().expect("a folder"));
    let (files, warehouse) = (Files::new(moto.s3()), format!("s3://{BUCKET}/a b"));
    let catalog = SqliteCatalog::open(&dir.path().join("catalog.db"), "watershed", &warehouse, files.io()).await.expect("opens");
    let lake = Lake::open(Arc::new(catalog)).await.expect("opens").with_files(files);
    let rows = rows();
    let range = StagedRange {
        shard: SHARD,
        from_seq: rows.from_seq,
        to_seq: rows.to_seq,
        files: lake.write(&rows, Epoch(1)).await.expect("writes"),
    };
    let request = CommitRequest { ranges: vec![range], replayed: Staged::default(), epoch: Epoch(1), commit_id: Uuid::now_v7() };
    lake.commit(&request).await.expect("commits");
    let limits = Limits { deadline: Duration::from_secs(60), memory_bytes: 256 << 20, rows_max: 1_000 };
    let engine = Engine::new(Arc::new(Nothing), Some(Arc::new(lake)), limits);
    for (condition, expected) in [("true", 30), ("event_type = 'trace'", 15), ("id = 'id-7'", 1), ("_tier = 'hot'", 0)] {
        let sql = format!("SELECT count(DISTINCT _seq) FROM events WHERE {condition}");
        let found = engine.sql(&TenantId::default(), &sql, None).await.expect("plans");
        let found: Vec<RecordBatch> = found.batches.try_collect().await.expect("reads");
        assert_eq!(found[0].column(0).as_primitive::<Int64Type>().value(0), expected, "{condition}");
    }
}
