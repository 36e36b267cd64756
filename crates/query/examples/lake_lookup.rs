//! What a lookup reads of a lake of many files, as JSON: files that were opened, requests, milliseconds, and what the bloom
//! filters weigh. `first_ever` is by a node that has none of the filters, `first_after_restart` by one that starts anew over
//! the folder in which they were kept, once for each of the lookups.
//!
//! `cargo run --release -p watershed-query --example lake_lookup -- FILES ROWS_OF_A_FILE [LOOKUPS]`. A lake of 100 million
//! spans is 300 files of 333 000 rows; as few rows as one likes give the same number of files.

#[path = "../tests/support/cold.rs"]
mod cold;
#[path = "../tests/support/counting.rs"]
mod counting;
#[path = "../tests/support/nothing.rs"]
mod nothing;

use std::io::Write as _;
use std::time::Instant;

use datafusion::parquet::file::metadata::ParquetMetaData;
use serde_json::{Value, json};
use watershed_lake::FileFilter;
use watershed_query::Engine;
use watershed_schema::TenantId;

use cold::{Cold, SPANS};

const FILES_OF_A_COMMIT: usize = 50;

struct Lookup {
    opened: usize,
    requests: usize,
    ms: f64,
}

async fn lookup(cold: &Cold, engine: &Engine, trace: u64) -> Lookup {
    cold.store.take("");
    let began = Instant::now();
    let found = engine.trace(&TenantId::default(), &cold::trace(trace)).await.expect("reads");
    let ms = began.elapsed().as_secs_f64() * 1_000.0;
    assert_eq!(found.len() as u64, SPANS, "trace {trace}");
    let files = cold.store.take(".parquet");
    Lookup { opened: files.len(), requests: files.values().sum::<usize>() + cold.store.take("").values().sum::<usize>(), ms }
}

/// Bytes of the filters of a column in a file.
fn filter_bytes(footer: &ParquetMetaData, column: &str) -> i64 {
    let chunks = footer.row_groups().iter().flat_map(|group| group.columns());
    let ours = chunks.filter(|chunk| chunk.column_path().string() == column);
    ours.filter_map(|chunk| chunk.bloom_filter_length()).map(i64::from).sum()
}

async fn weight(cold: &Cold) -> Value {
    let pinned = cold.lake.pin().await.expect("pins");
    let files = pinned.files(&FileFilter::default()).await.expect("lists");
    let (mut rows, mut bytes, mut filters) = (0, 0, [0; FileFilter::IDS.len()]);
    for file in files {
        (rows, bytes) = (rows + file.rows, bytes + file.size);
        let footer = pinned.footer(&file.path, file.size).await.expect("reads");
        for (sum, column) in filters.iter_mut().zip(FileFilter::IDS) {
            *sum += filter_bytes(&footer, column.name());
        }
    }
    let each = |bytes: i64| bytes as f64 / rows as f64;
    let by_column: serde_json::Map<_, _> =
        FileFilter::IDS.iter().zip(filters).map(|(column, bytes)| (column.name().to_owned(), each(bytes).into())).collect();
    let kept = std::fs::read_dir(cold.kept())
        .expect("a folder")
        .map(|file| file.and_then(|file| file.metadata()).expect("a file").len());
    let kept = kept.sum::<u64>() as f64 / rows as f64;
    json!({
        "rows": rows, "file_bytes_per_row": bytes as f64 / rows as f64, "filter_bytes_per_row": by_column,
        "kept_on_disk_bytes_per_row": kept,
    })
}

fn of(lookups: &[Lookup]) -> Value {
    let mut ms: Vec<f64> = lookups.iter().map(|one| one.ms).collect();
    ms.sort_by(f64::total_cmp);
    json!({
        "lookups": lookups.len(), "files_opened_max": lookups.iter().map(|one| one.opened).max(),
        "requests_max": lookups.iter().map(|one| one.requests).max(), "ms_p50": ms.get(ms.len() / 2), "ms_max": ms.last(),
    })
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|word| word.parse().expect("a number")).collect();
    let number = |place: usize, default| numbers.get(place).copied().unwrap_or(default);
    let (files, rows, count) = (number(0, 300), number(1, 1_000), number(2, 50));
    let cold = Cold::new().await;
    cold.fill(files, rows, FILES_OF_A_COMMIT).await;
    let engine = cold.restarted_keeping().await;
    let traces = files * rows / SPANS - 1;
    let first = lookup(&cold, &engine, traces / 2).await;
    let (mut rest, mut restarted) = (Vec::new(), Vec::new());
    for n in 0..count {
        let trace = 1 + n * (traces - 1) / count.max(1);
        rest.push(lookup(&cold, &engine, trace).await);
        restarted.push(lookup(&cold, &cold.restarted_keeping().await, trace).await);
    }
    let said = json!({
        "bench": "lake-lookup", "build": if cfg!(debug_assertions) { "dev" } else { "release" }, "files": files, "rows_of_a_file": rows,
        "first_ever": of(&[first]), "after_that": of(&rest), "first_after_restart": of(&restarted), "weight": weight(&cold).await,
    });
    writeln!(std::io::stdout(), "{said:#}")
}
