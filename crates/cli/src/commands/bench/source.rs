//! A JSON source as fast as it is acknowledged; what counts is the node's CPU time for each event.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use watershed_client::Client;
use watershed_sources::registry::{self, Face, Source};

use super::{Subject, percentile};
use crate::out::Failure;
use crate::procfs;

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// Name of the source; `watershed sources` lists them.
    name: String,
    /// How long, at most 900.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=900))]
    seconds: u64,
    /// Records in a request.
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Requests at a time.
    #[arg(long, default_value_t = 4)]
    connections: usize,
}

pub(super) async fn run(subject: &Subject, flags: &Flags) -> Result<Value, Failure> {
    let source = registry::by_name(&flags.name).filter(|source| source.face != Face::Otlp);
    let source = source.ok_or_else(|| Failure::usage("a JSON source is wanted: `watershed sources` lists them"))?;
    let (path, record) = (path(source), record(source)?);
    let (cpu, began, events) = (procfs::cpu_us(subject.pid), Instant::now(), Arc::new(AtomicU64::new(0)));
    let end = began + Duration::from_secs(flags.seconds);
    let mut senders = JoinSet::new();
    for number in 0..flags.connections.max(1) {
        let client = subject.target.connect().await?;
        let load = Load { path, record: record.clone(), batch: flags.batch, end, next: number * 1_000_000_000 };
        senders.spawn(load.flood(client, Arc::clone(&events)));
    }
    let mut latencies = Vec::new();
    while let Some(done) = senders.join_next().await {
        latencies.extend(done.map_err(anyhow::Error::from)??);
    }
    let (took, cpu) = (began.elapsed(), procfs::cpu_us(subject.pid).zip(cpu).map(|(after, before)| after - before));
    let events = events.load(Ordering::Relaxed);
    Ok(json!({
        "bench": "source", "source": source.name, "path": path, "record_bytes": record.to_string().len(), "batch": flags.batch,
        "connections": flags.connections, "compression": "none", "seconds": took.as_secs_f64(), "events": events,
        "events_per_second": events as f64 / took.as_secs_f64(),
        "server_cpu_us_per_event": cpu.map(|cpu| cpu as f64 / events as f64),
        "ack_ms": { "p50": percentile(&mut latencies, 0.5), "p99": percentile(&mut latencies, 0.99), "max": percentile(&mut latencies, 1.0) },
    }))
}

/// Segment's batches have a path of their own.
fn path(source: &'static Source) -> &'static str {
    if source.face == Face::Segment { "/v1/batch" } else { source.endpoints[0].path }
}

/// The example's first record.
fn record(source: &Source) -> Result<Value, Failure> {
    let example = serde_json::Deserializer::from_str(source.example).into_iter::<Value>().next();
    let example = example.context("an example is never empty")?.map_err(anyhow::Error::from)?;
    let mut first = match example {
        Value::Array(mut list) => list.swap_remove(0),
        other => other,
    };
    if source.face == Face::Segment && first.get("type").is_none() {
        first["type"] = "track".into();
    }
    Ok(first)
}

/// What one connection sends.
struct Load {
    path: &'static str,
    record: Value,
    batch: usize,
    end: Instant,
    next: usize,
}

impl Load {
    async fn flood(mut self, client: Client, events: Arc<AtomicU64>) -> Result<Vec<f64>, Failure> {
        let mut latencies = Vec::new();
        while Instant::now() < self.end {
            let body = self.request();
            let sent = Instant::now();
            let published = client.send(self.path, body.into_bytes()).await?;
            latencies.push(sent.elapsed().as_secs_f64() * 1_000.0);
            events.fetch_add(published.accepted, Ordering::Relaxed);
        }
        Ok(latencies)
    }

    fn request(&mut self) -> String {
        let records: Vec<_> = (0..self.batch).map(|_| self.new_record().to_string()).collect();
        if self.path == "/v1/batch" { format!("{{\"batch\":[{}]}}", records.join(",")) } else { records.join("\n") }
    }

    /// The same record under a new identity: a repeated one would only be recognised.
    fn new_record(&mut self) -> Value {
        self.next += 1;
        let mut record = self.record.clone();
        renew(&mut record, self.next);
        if self.path == "/v1/batch" {
            record["messageId"] = format!("message-{}", self.next).into();
        }
        record
    }
}

/// Members that records are told apart by, in all sources.
const IDENTITIES: [&str; 8] = ["id", "messageId", "lsn", "startTime", "eventTimestamp", "timestamp", "ts_ms", "value"];

fn renew(value: &mut Value, number: usize) {
    match value {
        Value::Object(members) => members.iter_mut().for_each(|(name, member)| match member {
            Value::Number(_) if IDENTITIES.contains(&name.as_str()) => renew_number(member, number),
            Value::String(text) if name == "id" || name == "messageId" => *text = format!("{text}-{number}"),
            _ => renew(member, number),
        }),
        Value::Array(list) => list.iter_mut().for_each(|member| renew(member, number)),
        _ => {}
    }
}

fn renew_number(member: &mut Value, number: usize) {
    let renewed = match (member.as_u64(), member.as_f64()) {
        (Some(whole), _) => Value::from(whole + number as u64 % 1_000_000_000),
        (None, Some(fraction)) => Value::from(fraction + number as f64),
        _ => return,
    };
    *member = renewed;
}
