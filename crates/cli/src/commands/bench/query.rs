//! Trace lookups and an aggregate over many hot events.

use std::time::Instant;

use clap::Args;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use serde_json::{Value, json};

use super::{Subject, percentile};
use crate::commands::send;
use crate::otlp::Method;
use crate::out::Failure;
use watershed_sample::{self as sample, Random};

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// Events to store first.
    #[arg(long, default_value_t = 1_000_000)]
    events: usize,
    /// Traces to look up.
    #[arg(long, default_value_t = 200)]
    lookups: usize,
}

const BATCH: usize = 512;
const AGGREGATE: &str = "SELECT event_type, count(*) FROM events GROUP BY event_type";

pub(super) async fn run(subject: &Subject, flags: &Flags) -> Result<Value, Failure> {
    let traces = fill(subject, flags.events).await?;
    let client = subject.target.connect().await?;
    let mut lookups = Vec::new();
    for trace in traces.iter().cycle().step_by(traces.len() / flags.lookups.max(1) + 1).take(flags.lookups) {
        let began = Instant::now();
        let found = client.get_trace(trace).await?.len();
        lookups.push(began.elapsed().as_secs_f64() * 1_000.0);
        if found == 0 {
            return Err(Failure::refused(&format!("trace {trace} is lost")));
        }
    }
    let mut aggregates = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        client.query(AGGREGATE).await?;
        aggregates.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    let tiers = client.query("SELECT count(*) FROM events WHERE _tier = 'hot'").await?;
    let hot = arrow::util::pretty::pretty_format_batches(&tiers).map_err(anyhow::Error::from)?.to_string();
    Ok(json!({
        "bench": "query", "events": flags.events, "hot": hot.split_whitespace().filter_map(|word| word.parse::<u64>().ok()).next(),
        "trace_ms": { "p50": percentile(&mut lookups, 0.5), "p99": percentile(&mut lookups, 0.99), "count": lookups.len() },
        "aggregate": { "sql": AGGREGATE, "median_ms": percentile(&mut aggregates, 0.5), "max_ms": percentile(&mut aggregates, 1.0) },
    }))
}

/// Stores spans; one trace id of each request.
pub(super) async fn fill(subject: &Subject, events: usize) -> Result<Vec<String>, Failure> {
    let sender = send::connect(&subject.target).await?;
    let mut random = Random::new(sample::now_ns());
    let mut traces = Vec::new();
    for _ in 0..events.div_ceil(BATCH) {
        let request = sample::traces(&mut random, BATCH);
        let trace = &request.resource_spans[0].scope_spans[0].spans[0].trace_id;
        traces.push(trace.iter().map(|byte| format!("{byte:02x}")).collect());
        let sent: Result<ExportTraceServiceResponse, _> = sender.send(Method::Traces, request).await;
        sent.map_err(|status| Failure::refused(status.message()))?;
    }
    Ok(traces)
}
