//! `watershed lake snapshots|files|stats`: what is in the lake.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use watershed_client::{DescribeLakeResponse, LakeFile, LakePartition, LakeRange, LakeReader, LakeSnapshot, ListFilesResponse};

use crate::Target;
use crate::out::{self, Failure};

#[derive(Args)]
pub(super) struct Shown {
    #[command(flatten)]
    target: Target,
    /// A tenant's own table, as `events_acme`; without it the one that all others share.
    #[arg(long, default_value = "", hide_default_value = true)]
    table: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Shown {
    async fn lake(&self) -> Result<LakeReader, Failure> {
        Ok(self.target.connect().await?.lake().table(&self.table))
    }
}

#[derive(Subcommand)]
pub(super) enum Contents {
    /// The table after each commit that is not expired, newest first.
    Snapshots {
        #[command(flatten)]
        shown: Shown,
    },
    /// Data files with their partition, rows, bytes and shards.
    Files {
        #[command(flatten)]
        shown: Shown,
        /// Of this snapshot instead of the newest.
        #[arg(long, default_value_t = 0, hide_default_value = true, allow_negative_numbers = true)]
        snapshot: i64,
        /// Only partitions that begin like this, as `hour=2026-11-26`.
        #[arg(long, default_value = "", hide_default_value = true)]
        partition: String,
        /// Most files that are shown.
        #[arg(long, default_value_t = 1_000)]
        limit: u32,
    },
    /// Files, rows and bytes of each partition and in all; bytes a row.
    Stats {
        #[command(flatten)]
        shown: Shown,
        /// Of this snapshot instead of the newest.
        #[arg(long, default_value_t = 0, hide_default_value = true, allow_negative_numbers = true)]
        snapshot: i64,
    },
}

pub(super) async fn run(what: Contents) -> Result<(), Failure> {
    let text = match what {
        Contents::Snapshots { shown } => {
            let snapshots = shown.lake().await?.snapshots().await?;
            if shown.json { json_lines(&snapshots_json(&snapshots)) } else { snapshots_table(&snapshots) }
        }
        Contents::Files { shown, snapshot, partition, limit } => {
            let files = shown.lake().await?.files(snapshot, &partition, limit).await?;
            if shown.json { json_lines(&files_json(&files)) } else { files_table(&files) }
        }
        Contents::Stats { shown, snapshot } => {
            let DescribeLakeResponse { partitions, tables, .. } = shown.lake().await?.partitions(snapshot).await?;
            if shown.json { json_lines(&stats_json(&partitions, &tables)) } else { stats_table(&partitions, &tables) }
        }
    };
    Ok(out::data(&text)?)
}

fn json_lines(value: &Value) -> String {
    format!("{value}\n")
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("invariant: a String takes every write");
    text.push('\n');
}

fn time(at_ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(at_ms);
    time.map_or_else(|| at_ms.to_string(), |time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn number(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), |count| count.to_string())
}

fn snapshots_table(snapshots: &[LakeSnapshot]) -> String {
    let mut text = String::new();
    line(
        &mut text,
        format_args!(
            "{:>20} {:>24} {:>9} {:>12} {:>12} {:>8} {:>14}  watermark",
            "snapshot", "time", "operation", "rows", "added", "files", "bytes"
        ),
    );
    for LakeSnapshot { id, at_ms, operation, rows, rows_added, files, bytes, watermark, .. } in snapshots {
        let [rows, added, files, bytes] = [rows, rows_added, files, bytes].map(|count| number(*count));
        let at = time(*at_ms);
        let marks = by_shard(watermark).iter().map(|(shard, seq)| format!("{shard}:{seq}")).collect::<Vec<_>>().join(" ");
        line(&mut text, format_args!("{id:>20} {at:>24} {operation:>9} {rows:>12} {added:>12} {files:>8} {bytes:>14}  {marks}"));
    }
    text
}

fn by_shard(watermark: &std::collections::HashMap<u32, u64>) -> std::collections::BTreeMap<u32, u64> {
    watermark.iter().map(|(shard, seq)| (*shard, *seq)).collect()
}

fn snapshots_json(snapshots: &[LakeSnapshot]) -> Value {
    let one = |one: &LakeSnapshot| {
        json!({
            "snapshot": one.id, "time": time(one.at_ms), "operation": one.operation, "current": one.current,
            "rows": one.rows, "rows_added": one.rows_added, "files": one.files, "bytes": one.bytes,
            "watermark": by_shard(&one.watermark),
        })
    };
    snapshots.iter().map(one).collect()
}

fn span(range: Option<&LakeRange>) -> String {
    match range {
        Some(LakeRange { from, to }) if from == to => from.to_string(),
        Some(LakeRange { from, to }) => format!("{from}-{to}"),
        None => "-".to_owned(),
    }
}

fn files_table(found: &ListFilesResponse) -> String {
    let mut text = String::new();
    line(
        &mut text,
        format_args!("{:<44} {:>10} {:>12} {:>8} {:>20}  file", "partition", "rows", "bytes", "shards", "sequence numbers"),
    );
    for LakeFile { path, partition, content, rows, bytes, shards, seqs, .. } in &found.files {
        let (shards, seqs) = (span(shards.as_ref()), span(seqs.as_ref()));
        let kind = if content == "data" { String::new() } else { format!("{content} ") };
        line(&mut text, format_args!("{partition:<44} {rows:>10} {bytes:>12} {shards:>8} {seqs:>20}  {kind}{path}"));
    }
    let hidden = found.files_total.saturating_sub(found.files.len() as u64);
    if hidden > 0 {
        line(&mut text, format_args!("and {hidden} more: --limit"));
    }
    text
}

fn files_json(found: &ListFilesResponse) -> Value {
    let range = |range: &Option<LakeRange>| range.as_ref().map(|LakeRange { from, to }| json!([from, to]));
    let one = |one: &LakeFile| {
        json!({
            "path": one.path, "partition": one.partition, "content": one.content, "rows": one.rows, "bytes": one.bytes,
            "shards": range(&one.shards), "seqs": range(&one.seqs), "timestamps_us": range(&one.times_us),
        })
    };
    let files: Value = found.files.iter().map(one).collect();
    json!({ "snapshot": found.snapshot_id, "files": files, "files_total": found.files_total })
}

/// Of all partitions together.
fn total(partitions: &[LakePartition]) -> LakePartition {
    let sum = |of: fn(&LakePartition) -> u64| partitions.iter().map(of).sum();
    LakePartition {
        partition: "all".to_owned(),
        files: sum(|one| one.files),
        rows: sum(|one| one.rows),
        bytes: sum(|one| one.bytes),
        delete_files: sum(|one| one.delete_files),
    }
}

fn row_bytes(one: &LakePartition) -> Option<f64> {
    (one.rows > 0).then(|| one.bytes as f64 / one.rows as f64)
}

fn stats_table(partitions: &[LakePartition], tables: &[String]) -> String {
    let mut text = String::new();
    if tables.len() > 1 {
        line(&mut text, format_args!("tables (--table): {}", tables.join(", ")));
    }
    line(
        &mut text,
        format_args!(
            "{:<44} {:>8} {:>12} {:>14} {:>10} {:>12}",
            "partition", "files", "rows", "bytes", "bytes/row", "delete files"
        ),
    );
    for one in partitions.iter().chain([&total(partitions)]) {
        let LakePartition { partition, files, rows, bytes, delete_files } = one;
        let each = row_bytes(one).map_or_else(|| "-".to_owned(), |bytes| format!("{bytes:.1}"));
        line(&mut text, format_args!("{partition:<44} {files:>8} {rows:>12} {bytes:>14} {each:>10} {delete_files:>12}"));
    }
    text
}

fn stats_json(partitions: &[LakePartition], tables: &[String]) -> Value {
    let one = |one: &LakePartition| {
        json!({
            "partition": one.partition, "files": one.files, "rows": one.rows, "bytes": one.bytes,
            "bytes_per_row": row_bytes(one), "delete_files": one.delete_files,
        })
    };
    let all: Value = partitions.iter().map(one).collect();
    json!({ "tables": tables, "partitions": all, "total": one(&total(partitions)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions() -> Vec<LakePartition> {
        let one = |partition: &str, rows| LakePartition {
            partition: partition.to_owned(),
            files: 2,
            rows,
            bytes: 600,
            delete_files: 0,
        };
        vec![one("hour=2026-11-26-13/event_type=log", 10), one("hour=2026-11-26-13/event_type=trace", 5)]
    }

    #[test]
    fn stats_are_summed_up() {
        let text = stats_table(&partitions(), &["events".to_owned()]);
        let words = |row: usize| text.lines().nth(row).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(words(1), ["hour=2026-11-26-13/event_type=log", "2", "10", "600", "60.0", "0"]);
        assert_eq!(words(3), ["all", "4", "15", "1200", "80.0", "0"]);
        assert_eq!(stats_json(&partitions(), &[])["total"]["bytes_per_row"], 80.0);
        assert_eq!(stats_json(&[], &[])["total"]["bytes_per_row"], Value::Null);
        let several = stats_table(&partitions(), &["events".to_owned(), "events_acme".to_owned()]);
        assert!(several.starts_with("tables (--table): events, events_acme\n"), "{several}");
    }

    #[test]
    fn what_a_snapshot_does_not_say_is_a_dash() {
        let one = LakeSnapshot {
            id: 7,
            at_ms: 1_795_698_000_000,
            operation: "append".to_owned(),
            rows: Some(5),
            watermark: [(1, 9), (0, 4)].into(),
            ..LakeSnapshot::default()
        };
        let text = snapshots_table(std::slice::from_ref(&one));
        let words: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words, ["7", "2026-11-26T13:00:00.000Z", "append", "5", "-", "-", "-", "0:4", "1:9"]);
        assert_eq!(snapshots_json(&[one])[0]["watermark"], json!({"0": 4, "1": 9}));
    }

    #[test]
    fn files_beyond_the_limit_are_told() {
        let range = |from, to| Some(LakeRange { from, to });
        let file = LakeFile { path: "x.parquet".to_owned(), shards: range(3, 3), seqs: range(1, 8), ..LakeFile::default() };
        let found = ListFilesResponse { snapshot_id: 1, files: vec![file], files_total: 3 };
        let text = files_table(&found);
        assert!(text.contains(" 3 ") && text.contains(" 1-8 ") && text.ends_with("and 2 more: --limit\n"), "{text}");
    }
}
