//! The lake as it was: by time and by snapshot, for one tenant.

#[path = "support/cold.rs"]
mod cold;
#[path = "support/counting.rs"]
mod counting;
#[path = "support/nothing.rs"]
mod nothing;

use watershed_lake::{SnapshotInfo, StagedRange};
use watershed_query::ErrorKind;
use watershed_schema::{Epoch, Seq, TenantId};

use cold::{Cold, SHARD, number, rows, trace};

async fn append(cold: &Cold, (from, to): (u64, u64)) {
    let files = cold.lake.write(&rows((from, to), 5), Epoch(1)).await.expect("writes");
    cold.commit(vec![StagedRange { shard: SHARD, from_seq: Seq(from), to_seq: Seq(to), files }]).await;
}

/// Two snapshots, oldest first, with times that differ.
async fn two_snapshots() -> (Cold, Vec<SnapshotInfo>) {
    let cold = Cold::new().await;
    append(&cold, (1, 17)).await;
    let first = cold.lake.snapshots().await.expect("told")[0].at_ms;
    // Snapshots are told apart by milliseconds.
    while chrono::Utc::now().timestamp_millis() <= first + 1 {
        tokio::task::yield_now().await;
    }
    append(&cold, (17, 41)).await;
    let mut snapshots = cold.lake.snapshots().await.expect("told");
    snapshots.reverse();
    (cold, snapshots)
}

fn text(at_ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(at_ms).expect("a time").to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_those_of_the_snapshot_that_was_asked_for() {
    let (cold, snapshots) = two_snapshots().await;
    let engine = cold.engine();
    let count = async |from: String| number(&engine, &format!("SELECT count(*) FROM {from}")).await;
    assert_eq!(
        snapshots.iter().map(|one| (one.rows, one.rows_added, one.files, one.is_current)).collect::<Vec<_>>(),
        [(Some(16), Some(16), Some(1), false), (Some(40), Some(24), Some(2), true),]
    );
    assert_eq!(snapshots[0].watermark, [(SHARD, Seq(17))].into());
    let [first, second] = snapshots.as_slice() else { panic!("two: {snapshots:?}") };
    assert_eq!(count(format!("events_at({})", first.id)).await, 16);
    assert_eq!(count(format!("events_at({})", second.id)).await, 40);
    assert_eq!(count(format!("events_at('{}')", text(first.at_ms))).await, 16);
    assert_eq!(count(format!("events_at('{}') AS past", text(second.at_ms - 1))).await, 16);
    assert_eq!(count("events_at('2199-01-01')".to_owned()).await, 40);
    // What has come since, and an id of the past.
    let new = format!("(SELECT id FROM events EXCEPT SELECT id FROM events_at({})) AS new", first.id);
    assert_eq!(count(new).await, 24);
    assert_eq!(count(format!("events_at({}) WHERE trace_id = '{}'", first.id, trace(1))).await, 8);
    assert_eq!(count(format!("events_at({}) WHERE trace_id = '{}'", first.id, trace(4))).await, 0);
    assert_eq!(count(format!("events_at({}) WHERE _tier = 'lake'", first.id)).await, 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_of_the_tenant_alone() {
    let (cold, snapshots) = two_snapshots().await;
    let engine = cold.engine();
    let other = TenantId::new("other").expect("a tenant");
    let sql = format!("SELECT id FROM events_at({}) WHERE ns = 'default' OR true", snapshots[1].id);
    let rows = engine.sql(&other, &sql, None).await.expect("plans").batches;
    let rows: Vec<_> = futures::TryStreamExt::try_collect::<Vec<_>>(rows).await.expect("reads");
    assert_eq!(rows.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_that_is_not_there_is_named() {
    let (cold, snapshots) = two_snapshots().await;
    let engine = cold.engine();
    let oldest = snapshots[0].id.to_string();
    let cases = [
        ("events_at('1999-01-01T00:00:00Z')".to_owned(), oldest.as_str()),
        ("events_at(77)".to_owned(), oldest.as_str()),
        ("events_at('yesterday')".to_owned(), "yesterday"),
        ("events_at()".to_owned(), "takes one time"),
        (format!("events_at({oldest}, 2)"), "takes one time"),
        ("events_at(now())".to_owned(), "takes one time"),
    ];
    for (from, word) in cases {
        let refused = engine.sql(&TenantId::default(), &format!("SELECT count(*) FROM {from}"), None).await;
        let refused = refused.err().unwrap_or_else(|| panic!("{from} is answered"));
        assert!(refused.to_string().contains(word), "{from}: {refused}");
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{from}: {refused}");
    }
}
