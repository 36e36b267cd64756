//! Spans to files, and many files to one, without a node around it: CPU, memory, and the bytes of each column, as JSON.
//!
//! `cargo run --release -p watershed-lake --example spans -- FILES ROWS_OF_A_FILE [SPANS_OF_A_TRACE [THREADS]]`

#[path = "../tests/support/lake.rs"]
mod support;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use iceberg::Catalog;
use prost::Message as _;
use serde_json::{Map, Value, json};
use watershed_catalog::SqliteCatalog;
use watershed_lake::{CompactionLimits, FileFilter, Lake, Rows, storage};
use watershed_sample::{Random, TRACE_SPANS};
use watershed_schema::{Epoch, EventBatch, Seq, ShardId, TenantId};
use watershed_sources::Context;
use watershed_sources::otlp::{Signal, transform};

/// Spans of a request, as `watershed bench` sends them.
const REQUEST: usize = 512;

fn batch(random: &mut Random, (spans, trace_spans): (usize, usize)) -> Arc<EventBatch> {
    let request = watershed_sample::traces_of(random, spans, trace_spans);
    // Received when it is made: spans from the future would keep their times a second time, in `data`.
    let received_at_us = i64::try_from(watershed_sample::now_ns() / 1_000).expect("this century");
    let context = Context { tenant: TenantId::default(), received_at_us, batch_id: "b".into() };
    Arc::new(transform(Signal::Traces, &request.encode_to_vec(), &context).expect("a request").batch.expect("spans"))
}

fn rows(random: &mut Random, from: u64, (count, trace_spans): (usize, usize)) -> Rows {
    let (mut blocks, mut next) = (Vec::new(), from);
    let to = from + count as u64;
    while next < to {
        let block = batch(random, (REQUEST.min(usize::try_from(to - next).expect("few")), trace_spans));
        let rows = block.len() as u64;
        blocks.push((Seq(next), block));
        next += rows;
    }
    Rows { shard: ShardId(0), from_seq: Seq(from), to_seq: Seq(to), blocks }
}

/// CPU of this process in microseconds.
fn cpu_us() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let after = stat.rsplit(')').next().expect("a name");
    let ticks: u64 = after.split_whitespace().skip(11).take(2).map(|word| word.parse::<u64>().expect("ticks")).sum();
    ticks * 10_000
}

/// Bytes of a line of the process's status.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").parse::<u64>().expect("kB") * 1024
}

/// What the files are: bytes, bytes without compression, bytes a row of each column that has any to speak of.
async fn weight(lake: &Lake) -> Value {
    let pinned = lake.pin().await.expect("pins");
    let (mut rows, mut bytes, mut plain, mut columns) = (0, 0, 0, Map::new());
    let mut sums = std::collections::BTreeMap::<String, i64>::new();
    for file in pinned.files(&FileFilter::default()).await.expect("lists") {
        (rows, bytes) = (rows + file.rows, bytes + file.size);
        let footer = pinned.footer(&file.path, file.size).await.expect("reads");
        for chunk in footer.row_groups().iter().flat_map(|group| group.columns()) {
            plain += chunk.unencoded_byte_array_data_bytes().unwrap_or_else(|| chunk.uncompressed_size());
            *sums.entry(chunk.column_path().string()).or_default() += chunk.compressed_size();
            *sums.entry("bloom filters".to_owned()).or_default() += chunk.bloom_filter_length().map_or(0, i64::from);
        }
    }
    let all: i64 = sums.values().sum();
    sums.insert("footers".to_owned(), i64::try_from(bytes).expect("few") - all);
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, bytes)| -bytes);
    for (name, bytes) in sums.into_iter().filter(|(_, bytes)| *bytes as f64 / rows as f64 > 0.05) {
        columns.insert(name, json!((bytes as f64 / rows as f64 * 100.0).round() / 100.0));
    }
    json!({ "rows": rows, "bytes": bytes, "plain_bytes": plain, "bytes_a_row": bytes as f64 / rows as f64, "columns": columns })
}

async fn open(dir: &Path) -> Lake {
    let warehouse = format!("file://{}/warehouse", dir.display());
    let catalog = SqliteCatalog::open(&dir.join("catalog.db"), "watershed", &warehouse, storage::local()).await.expect("opens");
    let catalog = Arc::new(catalog);
    let updates = watershed_lake::updates_by({
        let catalog = Arc::clone(&catalog);
        move |table, requirements, updates| {
            let catalog = Arc::clone(&catalog);
            async move { catalog.commit_updates(&table, requirements, updates).await.map(drop) }
        }
    });
    Lake::open(catalog as Arc<dyn Catalog>).await.expect("opens").with_updates(updates)
}

/// A function of its own, so that a profiler tells it from what makes the rows (`--toggle-collect=spans::written_now`).
#[inline(never)]
fn written_now(lake: &Lake, rows: &Rows) -> watershed_lake::CommitRequest {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(support::request(lake, rows, Epoch(1))))
}

async fn fill(lake: &Lake, files: u64, rows_of_a_file: usize, trace_spans: usize) -> Value {
    let (mut random, mut cpu) = (Random::new(1), 0);
    for file in 0..files {
        let rows = rows(&mut random, 1 + file * rows_of_a_file as u64, (rows_of_a_file, trace_spans));
        let before = cpu_us();
        let request = written_now(lake, &rows);
        cpu += cpu_us() - before;
        lake.commit(&request).await.expect("commits");
    }
    json!({ "cpu_us_a_row": cpu as f64 / (files * rows_of_a_file as u64) as f64, "weight": weight(lake).await })
}

async fn compact(lake: &Lake, plain: f64, threads: usize) -> Value {
    fs::write("/proc/self/clear_refs", "5").expect("forgets the peak");
    let idle = memory("VmRSS");
    let (cpu, began) = (cpu_us(), Instant::now());
    let limits = CompactionLimits { threads, ..CompactionLimits::default() };
    let done = lake.compact(&limits, Epoch(1)).await.expect("compacts").expect("files");
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), (cpu_us() - cpu) as f64);
    json!({
        "rounds": format!("{done:?}"), "threads": threads, "seconds": seconds, "cpu_us_a_row": cpu / done.rows as f64,
        "mb_per_second": { "files": done.bytes_before as f64 / 1e6 / seconds, "plain": plain / 1e6 / seconds },
        "mb_per_cpu_second": { "files": done.bytes_before as f64 / cpu, "plain": plain / cpu },
        "memory_bytes": { "idle": idle, "peak": memory("VmHWM") }, "weight": weight(lake).await,
    })
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|word| word.parse().expect("a number")).collect();
    let number = |place: usize, default| usize::try_from(numbers.get(place).copied().unwrap_or(default)).expect("few");
    let dir = tempfile::tempdir()?;
    let lake = open(dir.path()).await;
    let (files, rows_of_a_file, trace_spans) = (number(0, 24), number(1, 12_500), number(2, TRACE_SPANS as u64));
    let written = fill(&lake, files as u64, rows_of_a_file, trace_spans).await;
    let plain = written["weight"]["plain_bytes"].as_f64().expect("a number");
    let compacted = compact(&lake, plain, number(3, CompactionLimits::default().threads as u64)).await;
    writeln!(
        std::io::stdout(),
        "{:#}",
        json!({ "bench": "lake-spans", "trace_spans": trace_spans, "written": written, "compacted": compacted })
    )
}
