//! Requests as fast as they are acknowledged; what counts is the node's CPU time for each record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Compression, Subject, lake, percentile};
use crate::commands::send;
use crate::otlp::{Method, Sender};
use crate::out::Failure;
use crate::procfs;
use watershed_sample::{self as sample, Random};

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// How long, at most 900.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=900))]
    seconds: u64,
    /// Records in a request.
    #[arg(long, default_value_t = 512)]
    batch: usize,
    /// Requests at a time.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// What to send.
    #[arg(long, value_enum, default_value_t = Signal::Traces)]
    signal: Signal,
    /// How requests are compressed.
    #[arg(long, value_enum, default_value_t = Compression::None)]
    compression: Compression,
    /// Wait until everything is in the lake, and weigh it there.
    #[arg(long)]
    until_archived: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Signal {
    Traces,
    Logs,
}

#[derive(Default)]
struct Totals {
    records: AtomicU64,
    refused: AtomicU64,
}

pub(super) async fn run(subject: &Subject, flags: &Flags) -> Result<Value, Failure> {
    let totals = Arc::new(Totals::default());
    let idle = procfs::resident_bytes(subject.pid);
    let (cpu, began) = (procfs::cpu_us(subject.pid), Instant::now());
    let end = began + Duration::from_secs(flags.seconds);
    let mut senders = JoinSet::new();
    for number in 0..flags.connections.max(1) {
        let mut sender = send::connect(&subject.target).await?;
        sender.compression = flags.compression.encoding();
        senders.spawn(flood(sender, flags.clone(), end, Arc::clone(&totals), number as u64));
    }
    let memory = memory_series(subject.pid, end).await;
    let mut latencies = Vec::new();
    while let Some(done) = senders.join_next().await {
        latencies.extend(done.map_err(anyhow::Error::from)?);
    }
    let (took, cpu) = (began.elapsed(), procfs::cpu_us(subject.pid).zip(cpu).map(|(after, before)| after - before));
    let records = totals.records.load(Ordering::Relaxed);
    let status = subject.target.connect().await?.status().await?;
    let hot: u64 = status.shards.iter().map(|shard| shard.hot_bytes).sum();
    let lake = if flags.until_archived { Some(lake::weigh(subject, records, end).await?) } else { None };
    Ok(json!({
        "bench": "ingest",
        "signal": if flags.signal == Signal::Traces { "traces" } else { "logs" },
        "record_bytes": record_bytes(flags),
        "batch": flags.batch, "connections": flags.connections, "compression": flags.compression.word(),
        "seconds": took.as_secs_f64(), "records": records, "refused_requests": totals.refused.load(Ordering::Relaxed),
        "records_per_second": records as f64 / took.as_secs_f64(),
        "server_cpu_us_per_record": cpu.map(|cpu| cpu as f64 / records as f64),
        "ack_ms": { "p50": percentile(&mut latencies, 0.5), "p99": percentile(&mut latencies, 0.99), "max": percentile(&mut latencies, 1.0) },
        "hot_file_bytes_per_record": hot as f64 / records as f64,
        "lake": lake,
        "resident_bytes": { "idle": idle, "series_each_second": memory },
    }))
}

async fn flood(sender: Sender, flags: Flags, end: Instant, totals: Arc<Totals>, number: u64) -> Vec<f64> {
    let mut random = Random::new(sample::now_ns() ^ number);
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let (sent, answer) = send_one(&sender, &flags, &mut random).await;
        match answer {
            Ok(_) => {
                latencies.push(sent.elapsed().as_secs_f64() * 1_000.0);
                totals.records.fetch_add(flags.batch as u64, Ordering::Relaxed);
            }
            Err(_refused) => {
                totals.refused.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    latencies
}

async fn send_one(
    sender: &Sender,
    flags: &Flags,
    random: &mut Random,
) -> (Instant, Result<ExportTraceServiceResponse, tonic::Status>) {
    match flags.signal {
        Signal::Traces => {
            let request = sample::traces(random, flags.batch);
            (Instant::now(), sender.send(Method::Traces, request).await)
        }
        Signal::Logs => {
            let request = sample::logs(random, flags.batch);
            (Instant::now(), sender.send(Method::Logs, request).await)
        }
    }
}

async fn memory_series(pid: u32, end: Instant) -> Vec<u64> {
    let mut series = Vec::new();
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(1)).await;
        series.extend(procfs::resident_bytes(pid));
    }
    series
}

fn record_bytes(flags: &Flags) -> usize {
    let mut random = Random::new(1);
    let bytes = match flags.signal {
        Signal::Traces => sample::traces(&mut random, flags.batch).encoded_len(),
        Signal::Logs => sample::logs(&mut random, flags.batch).encoded_len(),
    };
    bytes / flags.batch.max(1)
}
