//! What a file carries for those who look for one value: page index, bloom filters, and how much they weigh.

#[path = "support/lake.rs"]
mod support;

use std::sync::Arc;

use watershed_lake::{FileFilter, Lake, Rows};
use watershed_schema::{BatchBuilder, Column, Epoch, Seq, ShardId, TenantId};

const ROWS: u64 = 4_000;
/// Rows of a trace.
const SPANS: u64 = 8;
/// What a filter of one value weighs: a block, and what stands before it.
const LEAST: i32 = 64;

fn rows() -> Rows {
    rows_of(|_| "default")
}

fn rows_of(tenant: impl Fn(u64) -> &'static str) -> Rows {
    let mut batch = BatchBuilder::new(TenantId::default(), 0);
    for seq in 1..=ROWS {
        batch.row(None, |row| {
            row.str(Column::Id, &format!("{:032x}", u128::from(seq) << 64));
            row.str(Column::EventType, "trace");
            row.str(Column::EventName, "x");
            row.str(Column::Ns, tenant(seq));
            row.int(Column::Timestamp, 1);
            row.str(Column::TraceId, &format!("{:032x}", seq / SPANS));
        });
    }
    let blocks = vec![(Seq(1), Arc::new(batch.finish().expect("rows")))];
    Rows { shard: ShardId(0), from_seq: Seq(1), to_seq: Seq(ROWS + 1), blocks }
}

async fn filled() -> (Lake, tempfile::TempDir) {
    filled_with(&rows()).await
}

async fn filled_with(rows: &Rows) -> (Lake, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = support::lake(dir.path()).await;
    lake.commit(&support::request(&lake, rows, Epoch(1)).await).await.expect("commits");
    (lake, dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_a_file_is_is_known_once_it_was_opened_and_only_when_all_of_it_is() {
    let mixed = rows_of(|seq| if seq == ROWS / 2 { "other" } else { "default" });
    for (rows, expected) in [(rows(), Some("default")), (mixed, None)] {
        let (lake, _dir) = filled_with(&rows).await;
        let owner = async || {
            let file = lake.pin().await.expect("pins").files(&FileFilter::default()).await.expect("lists").remove(0);
            (file.owner.clone(), file)
        };
        let (before, file) = owner().await;
        assert_eq!(before, None, "it was not opened");
        lake.pin().await.expect("pins").footer(&file.path, file.size).await.expect("reads");
        assert_eq!(owner().await.0.as_deref(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_as_long_as_the_values_need_and_pages_are_indexed() {
    let (lake, _dir) = filled().await;
    let pinned = lake.pin().await.expect("pins");
    let file = pinned.files(&FileFilter::default()).await.expect("lists").remove(0);
    let footer = pinned.footer(&file.path, file.size).await.expect("reads");
    assert!(footer.column_index().is_some() && footer.offset_index().is_some(), "pages are indexed");
    let chunks = footer.row_group(0).columns();
    let bytes = |column: Column| {
        let chunk = chunks.iter().find(|chunk| chunk.column_path().string() == column.name()).expect("a column");
        chunk.bloom_filter_length()
    };
    let (rows, traces) = (i32::try_from(ROWS).expect("small"), i32::try_from(ROWS / SPANS).expect("small"));
    assert!((rows..=3 * rows).contains(&bytes(Column::Id).expect("a filter")), "one in a hundred: {:?}", bytes(Column::Id));
    assert!((traces..=5 * traces).contains(&bytes(Column::TraceId).expect("a filter")), "{:?}", bytes(Column::TraceId));
    assert!(bytes(Column::SessionId).expect("a filter") <= LEAST, "no session, {:?} bytes", bytes(Column::SessionId));
    assert_eq!(bytes(Column::ServiceName), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_left_out_when_it_holds_none_of_the_values() {
    let (lake, _dir) = filled().await;
    let pinned = lake.pin().await.expect("pins");
    let left = async |column: Column, values: &[String]| {
        let filter = FileFilter { ids: vec![(column, values.to_vec())], ..FileFilter::default() };
        pinned.files(&filter).await.expect("lists").len()
    };
    let trace = |number: u64| format!("{number:032x}");
    assert_eq!(left(Column::TraceId, &[trace(3)]).await, 1);
    assert_eq!(left(Column::TraceId, &[trace(1 << 40), trace(3)]).await, 1);
    assert_eq!(left(Column::TraceId, &[trace(1 << 40)]).await, 0, "by its bounds");
    // Within the bounds: only the filter can say no. One of them may be told wrongly.
    let mut wrong = 0;
    for number in 0..20 {
        wrong += left(Column::TraceId, &[trace(number + 9) + "x"]).await;
        wrong += left(Column::Id, &[format!("{:032x}", (u128::from(number + 5) << 64) + 1)]).await;
    }
    assert!(wrong <= 2, "{wrong} of 40");
    assert_eq!(left(Column::SessionId, &["s".to_owned()]).await, 0, "no row has one");
    let other = FileFilter { tenant: Some("other".to_owned()), ..FileFilter::default() };
    assert_eq!(pinned.files(&other).await.expect("lists").len(), 0);
}
