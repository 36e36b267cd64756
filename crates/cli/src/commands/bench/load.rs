//! Requests as fast as they are acknowledged: what all of them report, in the same form.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use watershed_schema::proto::StatusResponse;

use super::{Subject, percentile};
use crate::out::Failure;
use crate::procfs;

/// How long a connection waits after a refusal.
const PAUSE: Duration = Duration::from_millis(50);

/// One connection.
pub(super) trait Connection: Send + 'static {
    /// Makes a request, then sends it: when that was, and how many records were taken, or why none.
    fn send(&mut self) -> impl Future<Output = (Instant, Result<u64, String>)> + Send;
}

#[derive(Default)]
struct Totals {
    records: AtomicU64,
    refused: AtomicU64,
}

/// A load that runs.
pub(super) struct Load {
    pub(super) end: Instant,
    began: Instant,
    idle_bytes: Option<u64>,
    cpu_us: Option<u64>,
    stored: u64,
    totals: Arc<Totals>,
    connections: JoinSet<(Vec<f64>, Option<String>)>,
}

impl Load {
    pub(super) async fn begin(subject: &Subject, seconds: u64) -> Result<Self, Failure> {
        let stored = stored(&subject.target.connect().await?.status().await?);
        let (idle_bytes, cpu_us, began) = (procfs::resident_bytes(subject.pid), procfs::cpu_us(subject.pid), Instant::now());
        let end = began + Duration::from_secs(seconds);
        Ok(Self { end, began, idle_bytes, cpu_us, stored, totals: Arc::default(), connections: JoinSet::new() })
    }

    pub(super) fn add(&mut self, connection: impl Connection) {
        self.connections.spawn(flood(connection, self.end, Arc::clone(&self.totals)));
    }

    /// Waits for the end; how many records were taken, and the report.
    pub(super) async fn report(mut self, subject: &Subject) -> Result<(u64, Value), Failure> {
        let memory = memory_series(subject.pid, self.end).await;
        let (mut latencies, mut refusal) = (Vec::new(), None);
        while let Some(done) = self.connections.join_next().await {
            let (acknowledged, refused) = done.map_err(anyhow::Error::from)?;
            latencies.extend(acknowledged);
            refusal = refusal.or(refused);
        }
        let took = self.began.elapsed().as_secs_f64();
        let cpu_us = procfs::cpu_us(subject.pid).zip(self.cpu_us).map(|(after, before)| after - before);
        let records = self.totals.records.load(Ordering::Relaxed);
        if records == 0 {
            return Err(anyhow!(refusal.unwrap_or_default())).context("nothing was taken").map_err(Failure::from);
        }
        let status = subject.target.connect().await?.status().await?;
        let stored = stored(&status) - self.stored;
        if stored < records {
            return Err(anyhow!("{records} were taken and {stored} stored: the others were sent twice").into());
        }
        let hot: u64 = status.shards.iter().map(|shard| shard.hot_bytes).sum();
        let report = json!({
            "seconds": took, "records": records, "refused_requests": self.totals.refused.load(Ordering::Relaxed),
            "records_per_second": records as f64 / took,
            "server_cpu_us_per_record": cpu_us.map(|cpu| cpu as f64 / records as f64),
            "ack_ms": { "p50": percentile(&mut latencies, 0.5), "p99": percentile(&mut latencies, 0.99), "max": percentile(&mut latencies, 1.0) },
            "hot_file_bytes_per_record": hot as f64 / records as f64,
            "resident_bytes": { "idle": self.idle_bytes, "series_each_second": memory },
        });
        Ok((records, report))
    }
}

/// How many events ever were.
fn stored(status: &StatusResponse) -> u64 {
    status.shards.iter().map(|shard| shard.tail_seq).sum()
}

/// Milliseconds to each acknowledgement, and the last refusal.
async fn flood(mut connection: impl Connection, end: Instant, totals: Arc<Totals>) -> (Vec<f64>, Option<String>) {
    let (mut latencies, mut refusal) = (Vec::new(), None);
    while Instant::now() < end {
        let (sent, answer) = connection.send().await;
        match answer {
            Ok(records) => {
                latencies.push(sent.elapsed().as_secs_f64() * 1_000.0);
                totals.records.fetch_add(records, Ordering::Relaxed);
            }
            Err(reason) => {
                refusal = Some(reason);
                totals.refused.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    (latencies, refusal)
}

async fn memory_series(pid: u32, end: Instant) -> Vec<u64> {
    let mut series = Vec::new();
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(1)).await;
        series.extend(procfs::resident_bytes(pid));
    }
    series
}
