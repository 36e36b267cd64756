//! Many small files of the lake into few: how fast, and in how much memory.

use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};
use watershed_client::UpkeepStep;

use super::{Subject, lake, query};
use crate::out::Failure;
use crate::procfs;

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// Spans to archive first.
    #[arg(long, default_value_t = 500_000)]
    events: usize,
    /// Spans of a file, about.
    #[arg(long, default_value_t = 8_192)]
    rows: usize,
}

impl Flags {
    /// Settings of the node: compaction waits until it is asked for.
    pub(super) fn settings(&self) -> Vec<String> {
        vec!["lake_compaction=false".to_owned(), "lake_upkeep_deadline=10m".to_owned(), format!("archive_rows={}", self.rows)]
    }
}

pub(super) async fn run(subject: &Subject, flags: &Flags) -> Result<Value, Failure> {
    query::fill(subject, flags.events).await?;
    lake::archived(subject).await?;
    let client = subject.target.connect().await?;
    let idle_bytes = procfs::resident_bytes(subject.pid);
    procfs::forget_peak(subject.pid)?;
    let (cpu_us, began) = (procfs::cpu_us(subject.pid), Instant::now());
    let steps = client.maintain(false).await?;
    let (took, peak_bytes) = (began.elapsed().as_secs_f64(), procfs::peak_bytes(subject.pid));
    let cpu_us = procfs::cpu_us(subject.pid).zip(cpu_us).map(|(after, before)| after - before);
    if let Some(failed) = steps.iter().find(|step| !step.failed.is_empty()) {
        return Err(Failure::refused(&format!("{}: {}", failed.job, failed.failed)));
    }
    let rounds: Vec<&UpkeepStep> = steps.iter().filter(|step| step.job == "compaction" && step.files_removed > 0).collect();
    let sum = |field: fn(&UpkeepStep) -> u64| rounds.iter().map(|step| field(step)).sum::<u64>();
    let (bytes, seconds) = (sum(|step| step.bytes_removed), sum(|step| step.micros) as f64 / 1e6);
    let mb = bytes as f64 / 1e6;
    Ok(json!({
        "bench": "compaction", "events": flags.events, "rounds": rounds.len(),
        "files": { "before": sum(|step| step.files_removed), "after": sum(|step| step.files_added) },
        "bytes": { "before": bytes, "after": sum(|step| step.bytes_added) },
        "seconds": seconds, "mb_per_second": mb / seconds,
        "mb_per_cpu_second": cpu_us.map(|cpu| mb / (cpu as f64 / 1e6)),
        "seconds_with_waits_expiry_and_orphans": took,
        "memory_bytes": { "idle": idle_bytes, "peak": peak_bytes },
    }))
}
