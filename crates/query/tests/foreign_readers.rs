//! Readers nobody here wrote agree with our SQL on counts, sums and rows in all columns: while the files are small and of two
//! partitionings, and after they were joined.

#[path = "support/cold.rs"]
mod cold;
#[path = "support/counting.rs"]
mod counting;
#[path = "support/nothing.rs"]
mod nothing;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::ipc::writer::FileWriter;
use futures::TryStreamExt as _;
use watershed_lake::{CompactionLimits, Partitioning, Rows, StagedRange};
use watershed_query::Engine;
use watershed_schema::{BatchBuilder, Column, Epoch, EventType, EventWriter, Kind, Seq, TenantId};

use cold::{Cold, HOUR_US, SHARD};

const FILES: u64 = 12;
const ROWS: u64 = 120;
const COMPARED: u64 = 1_000;

/// Equal numbers give equal draws.
fn drawn(seq: u64, column: Column) -> u64 {
    let mixed = (seq * 1_021 + u64::from(column.id())).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 17
}

/// A value that is as odd as its kind allows; every fifth is absent.
fn odd(row: &mut EventWriter<'_>, column: Column, seq: u64) {
    let draw = drawn(seq, column);
    if !column.required() && draw.is_multiple_of(5) {
        return;
    }
    let number = i64::try_from(draw % 2_000_000).expect("small") - 1_000_000;
    match column.kind() {
        Kind::Text => row.str(column, ["", "ä\u{1F30A}", "a,b\n\"c\"", "plain", "\u{0}"][(draw % 5) as usize]),
        Kind::Json => row.str(column, &format!(r#"["{draw}",{number}]"#)),
        Kind::Payload => row.json(column, &format!(r#"{{"n":{number},"t":"ü"}}"#)),
        Kind::Int | Kind::Int32 => row.int(column, number),
        Kind::Float => row.float(column, f64::from(i32::try_from(number).expect("small")) / 3.0),
        Kind::Bool => row.bool(column, draw.is_multiple_of(2)),
        Kind::Bytes => row.bytes(column, &draw.to_be_bytes()[..(draw % 8) as usize]),
        Kind::Time => row.int(column, number * 1_000_003),
    }
}

fn rows((from, to): (u64, u64), hour: i64) -> Rows {
    let kinds = [EventType::Trace, EventType::Log].map(EventType::as_str);
    let own = [Column::Id, Column::Ns, Column::EventType, Column::Timestamp, Column::TraceId, Column::Shard, Column::Sequence];
    let mut batch = BatchBuilder::new(TenantId::default(), 0);
    for seq in from..to {
        batch.row(None, |row| {
            row.str(Column::Id, &cold::id(seq));
            row.str(Column::Ns, "default");
            row.str(Column::EventType, kinds[(seq % 2) as usize]);
            row.int(Column::Timestamp, hour * HOUR_US + i64::try_from(seq).expect("small"));
            row.str(Column::TraceId, &cold::trace(seq / 4));
            Column::ALL.iter().filter(|column| !own.contains(column)).for_each(|column| odd(row, *column, seq));
        });
    }
    let blocks = vec![(Seq(from), Arc::new(batch.finish().expect("rows")))];
    Rows { shard: SHARD, from_seq: Seq(from), to_seq: Seq(to), blocks }
}

/// What our SQL says, as a file.
async fn ours(engine: &Engine, path: &Path) {
    let columns = Column::ALL.iter().map(|column| format!("\"{}\"", column.name())).collect::<Vec<_>>().join(", ");
    let found = engine.sql(&TenantId::default(), &format!("SELECT {columns} FROM events"), None).await.expect("plans");
    let (schema, batches) = (found.schema, found.batches);
    let batches: Vec<RecordBatch> = batches.try_collect().await.expect("reads");
    let mut file = FileWriter::try_new(File::create(path).expect("a file"), &schema).expect("begins");
    batches.iter().for_each(|batch| file.write(batch).expect("writes"));
    file.finish().expect("ends");
}

fn python() -> PathBuf {
    // …/target/debug/deps/this-test
    let test = std::env::current_exe().expect("a path");
    test.ancestors().nth(3).expect("a target folder").join("foreign/readers/bin/python")
}

async fn expect_agreement(cold: &Cold, what: &str) {
    let (dir, file) = (cold.dir.path(), cold.dir.path().join("ours.arrow"));
    ours(&cold.engine(), &file).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/foreign/compare_lake.py");
    let warehouse = format!("file://{}/warehouse", dir.display());
    let mut compare = Command::new(python());
    compare.arg(script).arg(dir.join("catalog.db")).arg(warehouse).arg(&file).args([COMPARED.to_string(), "7".to_owned()]);
    let compared = compare.output().expect("python");
    assert!(compared.status.success(), "{what}: {}", String::from_utf8_lossy(&compared.stderr));
    let said: serde_json::Value = serde_json::from_slice(&compared.stdout).expect("JSON");
    assert_eq!((&said["rows"], &said["compared"]), (&(FILES * ROWS).into(), &COMPARED.into()), "{what}");
    assert_eq!(said["filled"], Column::ALL.len(), "every column has values: {said}");
    let differences = said["differences"].as_object().expect("readers");
    assert_eq!(differences.len(), 4);
    assert!(differences.values().all(|found| found.as_array().is_some_and(Vec::is_empty)), "{what}: {differences:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_readers_see_what_our_sql_sees() {
    let cold = Cold::new().await;
    for file in 0..FILES {
        if file == FILES / 2 {
            cold.lake.partition_by(Partitioning::Day).await.expect("changes");
        }
        let (from, to) = (1 + file * ROWS, 1 + (file + 1) * ROWS);
        let files = cold.lake.write(&rows((from, to), i64::try_from(file % 3).expect("small")), Epoch(1)).await;
        let files = files.expect("writes");
        cold.commit(vec![StagedRange { shard: SHARD, from_seq: Seq(from), to_seq: Seq(to), files }]).await;
    }
    expect_agreement(&cold, "small files").await;
    let round = cold.lake.compact(&CompactionLimits::default(), Epoch(1)).await.expect("compacts").expect("something");
    assert!(round.files_after < round.files_before, "{round:?}");
    expect_agreement(&cold, "after a compaction").await;
}
