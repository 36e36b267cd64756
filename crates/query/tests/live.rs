//! Live queries against the same SQL over the same events after the fact, by DataFusion itself.

#[path = "support/random.rs"]
mod random;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use random::Random;
use watershed_query::{LiveLimits, LiveQuery, QueryError, Windows};
use watershed_schema::arrow::ColumnsBuilder;
use watershed_schema::{BatchBuilder, Column, EventBatch, Seq, ShardId, TenantId};

const SECOND_US: i64 = 1_000_000;
const BEGIN_US: i64 = 1_760_000_000 * SECOND_US;

/// Events of a few services within a minute, out of order, some without a duration.
fn events(seed: u64, count: u64) -> EventBatch {
    let (mut drawn, mut batch) = (Random(seed), BatchBuilder::new(TenantId::default(), 0));
    for n in 0..count {
        batch.row(None, |row| {
            row.str(Column::Id, &format!("{n}"));
            row.str(Column::Ns, "default");
            row.str(Column::EventType, drawn.pick(&["log", "trace"]));
            row.str(Column::EventName, &format!("name {}", drawn.below(3)));
            row.int(Column::Timestamp, BEGIN_US + i64::try_from(drawn.below(60_000_000)).expect("small"));
            if drawn.below(5) > 0 {
                row.str(Column::ServiceName, &format!("service {}", drawn.below(4)));
            }
            if drawn.below(4) > 0 {
                row.float(Column::DurationMs, drawn.below(1_000) as f64);
            }
            row.json(Column::Properties, &format!(r#"{{"plan":"{}"}}"#, drawn.pick(&["free", "pro"])));
        });
    }
    batch.finish().expect("rows")
}

async fn windows(sql: &str, every_us: i64) -> Windows {
    let query = LiveQuery::compile(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    Windows::new(query, every_us, LiveLimits::default())
}

fn add(windows: &mut Windows, events: &EventBatch, range: std::ops::Range<usize>) -> Result<(), QueryError> {
    windows.add(range.map(|index| (ShardId(0), Seq(1 + index as u64), events.row(index))))
}

/// Rows as texts, sorted.
fn texts(rows: &[RecordBatch]) -> Vec<String> {
    let text = |column: &ArrayRef, row: usize| {
        let format = FormatOptions::default().with_null("NULL");
        ArrayFormatter::try_new(column, &format).expect("a format").value(row).to_string()
    };
    let row =
        |batch: &RecordBatch, row: usize| batch.columns().iter().map(|column| text(column, row)).collect::<Vec<_>>().join("|");
    let mut all: Vec<_> =
        rows.iter().flat_map(|batch| (0..batch.num_rows()).map(|at| row(batch, at)).collect::<Vec<_>>()).collect();
    all.sort();
    all
}

/// What DataFusion says of the same events, with the window as a group.
async fn after_the_fact(events: &EventBatch, selected: &str, rest: &str, every: u32) -> Vec<String> {
    let mut columns = ColumnsBuilder::new(Column::ALL);
    columns.append(ShardId(0), Seq(1), events, |_, _| true).expect("whole");
    let rows = columns.finish();
    let session = SessionContext::new();
    let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).expect("a table");
    session.register_table("events", Arc::new(table)).expect("registers");
    let start = format!("date_bin(INTERVAL '{every} seconds', timestamp)");
    let end = format!("{start} + INTERVAL '{every} seconds'");
    let (condition, group) =
        rest.split_once("GROUP BY").map_or((rest, String::new()), |(condition, by)| (condition, format!(", {by}")));
    let sql = format!("SELECT {start} AS a, {end} AS b, {selected} FROM events {condition} GROUP BY {start} {group}");
    let found = session.sql(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    texts(&found.collect().await.unwrap_or_else(|error| panic!("{sql}: {error}")))
}

#[tokio::test]
async fn rows_are_those_of_the_same_sql_after_the_fact() {
    let cases = [
        ("count(*)", ""),
        ("service_name, count(*)", "GROUP BY service_name"),
        ("event_type, event_name, count(duration_ms), min(duration_ms), max(duration_ms)", "GROUP BY event_type, event_name"),
        (
            "service_name, avg(duration_ms), sum(duration_ms) / count(*) AS share",
            "WHERE event_type = 'trace' GROUP BY service_name",
        ),
        ("count(DISTINCT service_name), count(DISTINCT event_name)", "WHERE duration_ms > 100"),
        ("event_type, median(duration_ms), round(stddev(duration_ms), 6)", "GROUP BY event_type"),
        ("count(*) FILTER (WHERE duration_ms > 500), count(*) + 1", "WHERE service_name IS NOT NULL"),
        ("upper(event_name) AS name, bool_or(duration_ms > 900), min(id)", "GROUP BY upper(event_name)"),
        ("service_name", "GROUP BY service_name"),
    ];
    for (seed, (selected, rest)) in (1..).zip(cases) {
        for every in [1_u32, 7, 60] {
            let events = events(seed, 2_000);
            let sql = format!("SELECT {selected} FROM events {rest}");
            let mut windows = windows(&sql, i64::from(every) * SECOND_US).await;
            let mut drawn = Random(seed);
            let mut at = 0;
            while at < events.len() {
                let to = (at + 1 + usize::try_from(drawn.below(300)).expect("small")).min(events.len());
                add(&mut windows, &events, at..to).unwrap_or_else(|error| panic!("{sql}: {error}"));
                at = to;
            }
            let rows = windows.close(BEGIN_US + 120 * SECOND_US).expect("closes");
            assert_eq!(texts(&rows), after_the_fact(&events, selected, rest, every).await, "{sql} every {every} s");
            assert_eq!(windows.late(), 0);
        }
    }
}

#[tokio::test]
async fn functions_of_ours_are_there_too() {
    let events = events(5, 500);
    let sql = "SELECT json_get(properties, 'plan') AS plan, count(*) FROM events GROUP BY 1";
    let mut windows = windows(sql, 60 * SECOND_US).await;
    add(&mut windows, &events, 0..500).expect("adds");
    let rows = windows.close(BEGIN_US + 120 * SECOND_US).expect("closes");
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for batch in &rows {
        let (plans, numbers) = (batch.column(2).as_string::<i32>(), batch.column(3));
        let numbers = numbers.as_primitive::<arrow::datatypes::Int64Type>();
        plans
            .iter()
            .zip(numbers.iter())
            .for_each(|(plan, n)| *counts.entry(plan.expect("a plan").to_owned()).or_default() += n.expect("a number"));
    }
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["free", "pro"]);
    assert_eq!(counts.values().sum::<i64>(), 500);
}

#[tokio::test]
async fn a_window_is_told_once_and_who_comes_after_that_is_counted() {
    let mut batch = BatchBuilder::new(TenantId::default(), 0);
    for (id, at_us) in [("a", 100_000), ("b", 900_000), ("c", 1_200_000), ("late", 300_000), ("d", 1_900_000)] {
        batch.row(None, |row| {
            row.str(Column::Id, id);
            row.str(Column::EventType, "log");
            row.str(Column::EventName, "n");
            row.str(Column::Ns, "default");
            row.int(Column::Timestamp, BEGIN_US + at_us);
        });
    }
    let events = batch.finish().expect("rows");
    let mut windows = windows("SELECT count(*), min(id) FROM events WHERE id <> 'x'", SECOND_US).await;
    add(&mut windows, &events, 0..3).expect("adds");
    assert_eq!(windows.close(BEGIN_US + 999_999).expect("closes").len(), 0, "it is not over");
    assert_eq!(windows.end_us(), Some(BEGIN_US + 2 * SECOND_US));
    let first = windows.close(BEGIN_US + SECOND_US).expect("closes");
    let rows = concat_batches(&windows.schema(), &first).expect("one schema");
    assert_eq!(rows.column(0).as_primitive::<TimestampMicrosecondType>().values(), &[BEGIN_US]);
    assert_eq!(rows.column(1).as_primitive::<TimestampMicrosecondType>().values(), &[BEGIN_US + SECOND_US]);
    assert_eq!(rows.column(2).as_primitive::<arrow::datatypes::Int64Type>().values(), &[2]);
    add(&mut windows, &events, 3..5).expect("adds");
    assert_eq!(windows.late(), 1);
    assert_eq!(windows.close(BEGIN_US).expect("closes").len(), 0, "time does not go back");
    let second = texts(&windows.close(BEGIN_US + 5 * SECOND_US).expect("closes"));
    assert!(second.len() == 1 && second[0].ends_with("|2|c"), "{second:?}");
    assert_eq!(windows.end_us(), None);
}

#[tokio::test]
async fn limits_are_named() {
    let events = events(3, 1_000);
    let open = async |limits| {
        let query = LiveQuery::compile("SELECT id, count(*) FROM events GROUP BY id").await.expect("compiles");
        Windows::new(query, SECOND_US, limits)
    };
    let all = LiveLimits::default();
    for (limits, named) in [
        (LiveLimits { windows: 10, ..all }, "more than 10 windows open"),
        (LiveLimits { groups: 100, ..all }, "more than 100 groups open"),
        (LiveLimits { bytes: 10_000, ..all }, "more memory than 10000 bytes"),
    ] {
        let refused = add(&mut open(limits).await, &events, 0..1_000).expect_err("too much");
        assert!(refused.to_string().contains(named), "{refused}");
    }
    add(&mut open(all).await, &events, 0..1_000).expect("fits");
}

#[tokio::test]
async fn what_cannot_be_compiled_is_refused_with_its_place() {
    for (sql, named) in [
        ("SELECT count(*) FROM events WHERE colour = 1", "Line: 1, Column: 35"),
        ("SELECT service_name FROM events", "without an aggregate"),
        ("SELECT count(*) FROM events HAVING count(*) > 1", "HAVING is not allowed"),
        ("SELECT array_agg(id ORDER BY timestamp) FROM events", "ORDER BY inside an aggregate"),
        ("SELECT count(*) AS window_start FROM events", "window_start is a column of every live query"),
        ("SELECT service_name, count(*) FROM events", "service_name"),
        ("SELECT count(* FROM events", "Line: 1"),
    ] {
        let refused = LiveQuery::compile(sql).await.map(drop).expect_err(sql);
        assert!(matches!(refused, QueryError::InvalidSql { .. }), "{sql}: {refused:?}");
        assert!(refused.to_string().contains(named), "{sql}: {refused}");
    }
}
