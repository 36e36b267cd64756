//! One shard's past out of a real table, in order: of files that are sorted by other keys, compacted and deleted under it.

#[path = "support/cold.rs"]
mod cold;
#[path = "support/counting.rs"]
mod counting;
#[path = "support/nothing.rs"]
mod nothing;

use std::sync::Arc;

use cold::{Cold, HOUR_US, SHARD, id};
use watershed_lake::{CompactionLimits, Rows, ShardRows, SnapshotRetention, StagedRange};
use watershed_query::{Engine, History};
use watershed_schema::{BatchBuilder, Column, Epoch, Seq, ShardId, TenantId};

const FILES: u64 = 6;
const ROWS: u64 = 500;
const END: u64 = 1 + FILES * ROWS;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("a name")
}

fn all() -> ShardRows {
    ShardRows { tenant: TenantId::default(), shard: SHARD, from: Seq::FIRST, to: Seq(END), from_us: None }
}

async fn history(engine: &Engine, wanted: ShardRows) -> History {
    engine.history(wanted, Vec::new()).await.expect("pins").expect("there is a lake")
}

/// The numbers and ids of what comes; that steps follow each other is checked.
async fn told(history: &mut History, from: Seq) -> Vec<(u64, String)> {
    let (mut events, mut at) = (Vec::new(), from);
    while let Some(step) = history.next().await.expect("reads") {
        assert_eq!(step.from, at, "without a hole");
        assert!(step.to > step.from);
        for (first, batch) in &step.blocks {
            for (seq, row) in (first.0..).zip(batch.rows()) {
                assert!((step.from.0..step.to.0).contains(&seq));
                let id = row.get(Column::Id).expect("whole").expect("there").as_str().expect("a text").to_owned();
                assert_eq!(row.get(Column::Shard).expect("whole"), None, "where it stands is not a part of it");
                events.push((seq, id));
            }
        }
        at = step.to;
    }
    assert_eq!(at, history.end());
    events
}

fn expected(seqs: impl Iterator<Item = u64>) -> Vec<(u64, String)> {
    seqs.map(|seq| (seq, id(seq))).collect()
}

/// Files of one hour, so that they can become one.
async fn fill_one_hour(cold: &Cold) {
    for file in 0..FILES {
        let (from, to) = (1 + file * ROWS, 1 + (file + 1) * ROWS);
        let files = cold.lake.write(&cold::rows((from, to), 5), Epoch(1)).await.expect("writes");
        cold.commit(vec![StagedRange { shard: SHARD, from_seq: Seq(from), to_seq: Seq(to), files }]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_order_each_once_before_and_after_compaction() {
    let cold = Cold::new().await;
    fill_one_hour(&cold).await;
    let engine = cold.engine();
    assert_eq!(told(&mut history(&engine, all()).await, Seq::FIRST).await, expected(1..END));
    let some = ShardRows { from: Seq(321), to: Seq(1_234), ..all() };
    assert_eq!(told(&mut history(&engine, some.clone()).await, Seq(321)).await, expected(321..1_234));
    let beyond = ShardRows { from: Seq(END - 2), to: Seq(END + 1_000), ..all() };
    let mut to_the_watermark = history(&engine, beyond).await;
    assert_eq!(to_the_watermark.end(), Seq(END), "the lake has no more");
    assert_eq!(told(&mut to_the_watermark, Seq(END - 2)).await, expected(END - 2..END));

    let compacted =
        cold.lake.compact(&CompactionLimits::default(), Epoch(1)).await.expect("compacts").expect("there is something to do");
    assert_eq!(compacted.files_after, 1, "{compacted:?}");
    assert_eq!(told(&mut history(&engine, some).await, Seq(321)).await, expected(321..1_234));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_opens_the_files_that_may_hold_it_and_no_others() {
    let cold = Cold::new().await;
    cold.fill(FILES, ROWS, 2).await;
    let engine = cold.engine();
    cold.store.take(".parquet");
    let third = ShardRows { from: Seq(2 * ROWS + 10), to: Seq(2 * ROWS + 20), ..all() };
    assert_eq!(told(&mut history(&engine, third.clone()).await, third.from).await, expected(third.from.0..third.to.0));
    assert_eq!(cold.store.take(".parquet").len(), 1);
    let elsewhere = ShardRows { shard: ShardId(7), ..all() };
    assert_eq!(history(&engine, elsewhere).await.end(), Seq::FIRST, "nothing of that shard is in the lake");
    let of_others = ShardRows { tenant: tenant("other"), ..all() };
    assert_eq!(told(&mut history(&engine, of_others).await, Seq::FIRST).await, []);
    assert_eq!(cold.store.take(".parquet").len(), 0);
}

/// Events in the order of their traces, which is not that of their numbers, several times as long as a page.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_once_for_all_pages_that_are_cut_from_it() {
    const LONG: u64 = 3_000;
    let cold = Cold::new().await;
    let block = |first: u64| {
        let mut batch = BatchBuilder::new(TenantId::default(), 0);
        for seq in first..first + 300 {
            batch.row(None, |row| {
                row.str(Column::Id, &id(seq));
                row.str(Column::Ns, "default");
                row.str(Column::EventType, "log");
                row.str(Column::EventName, "n");
                row.int(Column::Timestamp, HOUR_US);
                row.str(Column::TraceId, &cold::trace(seq));
                row.str(Column::LogMessage, &format!("{seq} {}", "a line like all others; ".repeat(600)));
            });
        }
        (Seq(first), Arc::new(batch.finish().expect("rows")))
    };
    let blocks = (1..=LONG).step_by(300).map(block).collect();
    let rows = Rows { shard: SHARD, from_seq: Seq(1), to_seq: Seq(1 + LONG), blocks };
    let files = cold.lake.write(&rows, Epoch(1)).await.expect("writes");
    assert_eq!(files.all().count(), 1);
    cold.commit(vec![StagedRange { shard: SHARD, from_seq: Seq(1), to_seq: Seq(1 + LONG), files }]).await;
    let engine = cold.engine();
    let first = ShardRows { to: Seq(2), ..all() };
    assert_eq!(told(&mut history(&engine, first).await, Seq::FIRST).await, expected(1..2));
    cold.store.take(".parquet");
    let whole = ShardRows { to: Seq(1 + LONG), ..all() };
    let mut reading = history(&engine, whole.clone()).await;
    let step = reading.next().await.expect("reads").expect("there are events");
    let once: usize = cold.store.take(".parquet").values().sum();
    assert!(step.to < Seq(100), "a step of {step:?}");
    let mut at = step.to;
    while let Some(step) = reading.next().await.expect("reads") {
        assert_eq!(step.from, at);
        at = step.to;
    }
    assert_eq!((at, cold.store.take(".parquet").len()), (whole.to, 0), "asked {once} times at first, and never again");
    assert_eq!(told(&mut history(&engine, whole).await, Seq::FIRST).await, expected(1..=LONG));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_tenants_lies_between_and_is_not_told() {
    let cold = Cold::new().await;
    let mut blocks = Vec::new();
    for first in (1..ROWS).step_by(10) {
        let owner = if first % 20 == 1 { "a" } else { "b" };
        let mut batch = BatchBuilder::new(tenant(owner), 0);
        for seq in first..first + 10 {
            batch.row(None, |row| {
                row.str(Column::Id, &id(seq));
                row.str(Column::Ns, owner);
                row.str(Column::EventType, "log");
                row.str(Column::EventName, "n");
                row.int(Column::Timestamp, HOUR_US);
            });
        }
        blocks.push((Seq(first), Arc::new(batch.finish().expect("rows"))));
    }
    let rows = Rows { shard: SHARD, from_seq: Seq(1), to_seq: Seq(1 + ROWS), blocks };
    let files = cold.lake.write(&rows, Epoch(1)).await.expect("writes");
    cold.commit(vec![StagedRange { shard: SHARD, from_seq: Seq(1), to_seq: Seq(1 + ROWS), files }]).await;
    let mine = ShardRows { tenant: tenant("a"), ..all() };
    let told = told(&mut history(&cold.engine(), mine).await, Seq::FIRST).await;
    assert_eq!(told, expected((1..=ROWS).filter(|seq| (seq - 1) / 10 % 2 == 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_reads_on_when_the_files_it_knew_are_merged_and_gone() {
    let cold = Cold::new().await;
    fill_one_hour(&cold).await;
    let engine = cold.engine();
    // It knows the files, and has read none.
    let mut reading = history(&engine, all()).await;
    cold.lake.compact(&CompactionLimits::default(), Epoch(1)).await.expect("compacts").expect("there is something to do");
    let retention = SnapshotRetention { age: std::time::Duration::ZERO, count: 1 };
    let expired = cold.lake.expire(&retention, Epoch(1)).await.expect("expires").expect("there is something to do");
    assert!(expired.files as u64 > FILES, "{expired:?}");
    assert_eq!(told(&mut reading, Seq::FIRST).await, expected(1..END));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_of_a_time_is_found() {
    let cold = Cold::new().await;
    cold.fill(FILES, ROWS, 3).await;
    let engine = cold.engine();
    let first = async |from_us| engine.first_in_lake(ShardRows { from_us: Some(from_us), ..all() }).await.expect("reads");
    // A file is an hour, its rows are a microsecond apart.
    assert_eq!(first(0).await, Some(Seq(1)));
    assert_eq!(first(HOUR_US).await, Some(Seq(1 + ROWS)));
    assert_eq!(first(HOUR_US + 7).await, Some(Seq(1 + ROWS + 7)));
    assert_eq!(first(HOUR_US + 1_000_000).await, Some(Seq(1 + 2 * ROWS)), "between two files");
    assert_eq!(first(100 * HOUR_US).await, None);
}
