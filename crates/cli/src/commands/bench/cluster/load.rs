//! Spans to all nodes: as fast as they are acknowledged, or at a rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use watershed_sample::{self as sample, Random};

use super::nodes::Nodes;
use crate::Target;
use crate::commands::bench::percentile;
use crate::commands::send;
use crate::otlp::Method;
use crate::out::Failure;

const AFTER_A_REFUSAL: Duration = Duration::from_millis(20);

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// How long, at most 900.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=900))]
    pub(super) seconds: u64,
    /// Records in a request.
    #[arg(long, default_value_t = 512)]
    pub(super) batch: usize,
    /// Requests at a time.
    #[arg(long, default_value_t = 6)]
    pub(super) connections: usize,
    /// Tenants, each with a shard of its own; 0 = one whose records go to all shards, a part of each request to each.
    #[arg(long, default_value_t = 0)]
    pub(super) tenants: usize,
    /// Records a second in all; 0 = as many as are acknowledged.
    #[arg(long, default_value_t = 0)]
    pub(super) rate: u64,
}

#[derive(Default)]
struct Totals {
    records: AtomicU64,
    refused: AtomicU64,
    stop: AtomicBool,
}

/// Senders until they are stopped.
pub(super) struct Load {
    totals: Arc<Totals>,
    senders: JoinSet<Vec<f64>>,
    began: Instant,
}

/// What came of it.
pub(super) struct Sent {
    pub(super) records: u64,
    pub(super) refused: u64,
    pub(super) seconds: f64,
    latencies: Vec<f64>,
}

impl Load {
    /// Starts senders, one node after the other; one whose node is gone goes to the next.
    pub(super) fn start(targets: &[Target], flags: &Flags) -> Self {
        let (totals, mut senders) = (Arc::new(Totals::default()), JoinSet::new());
        for number in 0..flags.connections.max(1) {
            let mut targets = targets.to_vec();
            if flags.tenants > 0 {
                let tenant = format!("tenant-{}", number % flags.tenants);
                targets.iter_mut().for_each(|target| target.tenant = Some(tenant.clone()));
            }
            let first = number % targets.len();
            targets.rotate_left(first);
            senders.spawn(flood(targets, flags.clone(), Arc::clone(&totals), number as u64));
        }
        Self { totals, senders, began: Instant::now() }
    }

    pub(super) async fn stop(mut self) -> Result<Sent, Failure> {
        self.totals.stop.store(true, Ordering::Relaxed);
        let seconds = self.began.elapsed().as_secs_f64();
        let mut latencies = Vec::new();
        while let Some(done) = self.senders.join_next().await {
            latencies.extend(done.map_err(anyhow::Error::from)?);
        }
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Ok(Sent { records: count(&self.totals.records), refused: count(&self.totals.refused), seconds, latencies })
    }
}

impl Sent {
    pub(super) fn json(&mut self) -> Value {
        let ms = &mut self.latencies;
        json!({
            "records": self.records, "refused_requests": self.refused, "seconds": self.seconds,
            "records_per_second": self.records as f64 / self.seconds,
            "ack_ms": { "p50": percentile(ms, 0.5), "p99": percentile(ms, 0.99), "max": percentile(ms, 1.0) },
        })
    }
}

pub(super) async fn run(nodes: &Nodes, flags: &Flags) -> Result<Value, Failure> {
    let before = nodes.cpu_us();
    let load = Load::start(&nodes.targets(), flags);
    tokio::time::sleep(Duration::from_secs(flags.seconds)).await;
    let mut sent = load.stop().await?;
    let cpu = nodes.cpu_us() - before;
    let mut result = sent.json();
    result["server_cpu_us_per_record"] = (cpu as f64 / sent.records as f64).into();
    result["batch"] = flags.batch.into();
    result["connections"] = flags.connections.into();
    result["tenants"] = flags.tenants.into();
    result["rate"] = flags.rate.into();
    result["arrivals"] = if flags.rate > 0 { "evenly spaced" } else { "each connection after its last acknowledgement" }.into();
    result["compression"] = "none".into();
    Ok(result)
}

async fn flood(targets: Vec<Target>, flags: Flags, totals: Arc<Totals>, number: u64) -> Vec<f64> {
    let mut random = Random::new(sample::now_ns() ^ number);
    let mut latencies = Vec::new();
    let pause = (flags.rate > 0)
        .then(|| Duration::from_secs_f64(flags.batch as f64 * flags.connections.max(1) as f64 / flags.rate as f64));
    for target in targets.iter().cycle() {
        let Ok(sender) = send::connect(target).await else {
            if totals.stop.load(Ordering::Relaxed) {
                break;
            }
            tokio::time::sleep(AFTER_A_REFUSAL).await;
            continue;
        };
        // Requests come one after the other, not one of each connection at the same moment.
        let mut next = Instant::now() + pause.unwrap_or_default().mul_f64(number as f64 / flags.connections.max(1) as f64);
        tokio::time::sleep_until(next.into()).await;
        loop {
            if totals.stop.load(Ordering::Relaxed) {
                return latencies;
            }
            let request = sample::traces(&mut random, flags.batch);
            let sent = Instant::now();
            let answer: Result<ExportTraceServiceResponse, _> = sender.send(Method::Traces, request).await;
            if answer.is_err() {
                totals.refused.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(AFTER_A_REFUSAL).await;
                break;
            }
            latencies.push(sent.elapsed().as_secs_f64() * 1_000.0);
            totals.records.fetch_add(flags.batch as u64, Ordering::Relaxed);
            if let Some(pause) = pause {
                next += pause;
                tokio::time::sleep_until(next.into()).await;
            }
        }
    }
    latencies
}
