//! From the acknowledgement to the subscriber.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use futures::TryStreamExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use watershed_client::{Client, Filter, Start};

use super::{Subject, percentile};
use crate::commands::send;
use crate::otlp::Method;
use crate::out::Failure;
use watershed_sample::{self as sample, Random};

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// How long, at most 900.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=900))]
    seconds: u64,
    /// Events a second.
    #[arg(long, default_value_t = 20_000)]
    rate: usize,
    /// Events in a request.
    #[arg(long, default_value_t = 200)]
    batch: usize,
    /// Subscriptions: one follows everything and is measured, the others share the sessions among them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    subscriptions: u64,
}

/// When the last span of each request was seen or acknowledged.
type Times = mpsc::Receiver<(String, Instant)>;

pub(super) async fn run(subject: &Subject, flags: &Flags) -> Result<Value, Failure> {
    let client = subject.target.connect().await?;
    let others = follow_sessions(&client, flags.subscriptions - 1);
    let seen = follow(client, flags.batch).await?;
    let sender = send::connect(&subject.target).await?;
    let mut random = Random::new(sample::now_ns());
    let requests = usize::try_from(flags.seconds).unwrap_or_default() * flags.rate / flags.batch.max(1);
    let mut pace = tokio::time::interval(Duration::from_secs_f64(flags.batch as f64 / flags.rate.max(1) as f64));
    let mut acknowledged = HashMap::new();
    let (tell, mut told) = mpsc::channel(1024);
    for _ in 0..requests {
        pace.tick().await;
        let request = sample::traces(&mut random, flags.batch);
        let last = request.resource_spans[0].scope_spans[0].spans[flags.batch - 1]
            .span_id
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        let (sender, tell) = (sender.clone(), tell.clone());
        tokio::spawn(async move {
            let answer = sender
                .send::<_, opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse>(Method::Traces, request)
                .await;
            if answer.is_ok() {
                drop(tell.send((last, Instant::now())).await);
            }
        });
        while let Ok((last, at)) = told.try_recv() {
            acknowledged.insert(last, at);
        }
    }
    drop(tell);
    while let Some((last, at)) = told.recv().await {
        acknowledged.insert(last, at);
    }
    let mut latencies = latencies(seen, &acknowledged).await;
    Ok(json!({
        "bench": "tail", "rate": flags.rate, "batch": flags.batch, "seconds": flags.seconds, "requests": requests,
        "measured": latencies.len(), "subscriptions": flags.subscriptions, "events_to_the_others": others.load(Ordering::Relaxed),
        "ack_to_subscriber_ms": { "p50": percentile(&mut latencies, 0.5), "p99": percentile(&mut latencies, 0.99), "max": percentile(&mut latencies, 1.0) },
    }))
}

/// Notes when each request's last span comes out.
async fn follow(client: Client, batch: usize) -> Result<Times, Failure> {
    let (tell, told) = mpsc::channel(1 << 16);
    let mut stream = client.subscribe(Filter::default(), Start::Earliest);
    tokio::spawn(async move {
        let mut count = 0;
        while let Ok(Some(item)) = stream.try_next().await {
            let at = Instant::now();
            for (_, event) in item.events {
                count += 1;
                if count % batch == 0 {
                    drop(tell.send((event.span_id.unwrap_or_default(), at)).await);
                }
            }
        }
    });
    Ok(told)
}

/// Subscriptions that share the sample's sessions; how many events they were given.
fn follow_sessions(client: &Client, count: u64) -> Arc<AtomicU64> {
    let events = Arc::new(AtomicU64::new(0));
    let share = sample::SESSIONS / count.max(1);
    for first in (0..count).map(|number| number * share) {
        let session_ids = (first..first + share).map(sample::session).collect();
        let mut stream = client.subscribe(Filter { session_ids, ..Filter::default() }, Start::Now);
        let events = Arc::clone(&events);
        tokio::spawn(async move {
            while let Ok(Some(item)) = stream.try_next().await {
                events.fetch_add(item.events.len() as u64, Ordering::Relaxed);
            }
        });
    }
    events
}

/// What was delivered before the acknowledgement was here counts as 0.
async fn latencies(mut seen: Times, acknowledged: &HashMap<String, Instant>) -> Vec<f64> {
    let mut latencies = Vec::new();
    while latencies.len() < acknowledged.len() {
        match tokio::time::timeout(Duration::from_secs(10), seen.recv()).await {
            Ok(Some((last, at))) => {
                let acknowledged = acknowledged.get(&last);
                latencies.extend(acknowledged.map(|since| at.saturating_duration_since(*since).as_secs_f64() * 1_000.0));
            }
            Ok(None) | Err(_) => break,
        }
    }
    latencies
}
