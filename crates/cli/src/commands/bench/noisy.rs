//! What a tenant feels of another one that sends far more than it may.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::Code;
use watershed_sample::{self as sample, Random};

use super::{Subject, percentile};
use crate::commands::send;
use crate::otlp::{Method, Sender};
use crate::out::Failure;

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// How long the quiet tenant is alone, and how long it is not.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=300))]
    seconds: u64,
    /// Requests a second of the quiet tenant.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rate: u64,
    /// Connections of the noisy tenant.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    connections: u64,
    /// Events in a request of either.
    #[arg(long, default_value_t = 100)]
    batch: usize,
}

/// What a tenant may send: `limits_events_per_second`. A burst of two seconds is long over when the measurement begins.
pub(super) const SETTINGS: [&str; 2] = ["limits_events_per_second=5000", "limits_burst=2s"];
/// Long enough to have spent the burst.
const WARM_UP: Duration = Duration::from_secs(3);
/// A client that does not listen to `RetryInfo`: it comes again at once.
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Noise {
    taken: AtomicU64,
    refused: AtomicU64,
}

pub(super) async fn run(subject: &Subject, flags: &Flags) -> Result<Value, Failure> {
    let quiet = sender(subject, "quiet").await?;
    acknowledged(&quiet, flags, WARM_UP).await?;
    let span = Duration::from_secs(flags.seconds);
    let mut alone = acknowledged(&quiet, flags, span).await?;
    let (noise, mut connections) = (Arc::new(Noise::default()), JoinSet::new());
    for number in 0..flags.connections {
        connections.spawn(flood(sender(subject, "noisy").await?, number, flags.batch, Arc::clone(&noise)));
    }
    tokio::time::sleep(WARM_UP).await;
    let mut beside = acknowledged(&quiet, flags, span).await?;
    connections.shutdown().await;
    let p99 = [percentile(&mut alone, 0.99), percentile(&mut beside, 0.99)];
    Ok(json!({
        "bench": "noisy", "seconds": flags.seconds, "events_in_a_request": flags.batch, "settings_of_the_bench": SETTINGS,
        "quiet": {
            "requests_per_second": flags.rate,
            "ack_ms_alone": { "p50": percentile(&mut alone, 0.5), "p99": p99[0] },
            "ack_ms_beside_the_noisy": { "p50": percentile(&mut beside, 0.5), "p99": p99[1] },
            "p99_ratio": p99[1] / p99[0],
        },
        "noisy": {
            "connections": flags.connections,
            "requests_taken": noise.taken.load(Ordering::Relaxed), "requests_refused": noise.refused.load(Ordering::Relaxed),
        },
        "goal": { "p99_ratio": 2.0 },
    }))
}

async fn sender(subject: &Subject, tenant: &str) -> Result<Sender, Failure> {
    Ok(Sender { tenant: Some(tenant.to_owned()), ..send::connect(&subject.target).await? })
}

/// Milliseconds to each acknowledgement; requests go out at their rate, whether the one before was answered or not.
async fn acknowledged(sender: &Sender, flags: &Flags, span: Duration) -> Result<Vec<f64>, Failure> {
    let (mut random, mut requests) = (Random::new(sample::now_ns()), JoinSet::new());
    let mut pace = tokio::time::interval(Duration::from_secs(1) / u32::try_from(flags.rate).unwrap_or(u32::MAX));
    let end = Instant::now() + span;
    while Instant::now() < end {
        pace.tick().await;
        let (sender, request) = (sender.clone(), sample::traces(&mut random, flags.batch));
        requests.spawn(async move {
            let since = Instant::now();
            let answer = sender.send::<_, ExportTraceServiceResponse>(Method::Traces, request).await;
            answer.map(|_| since.elapsed().as_secs_f64() * 1_000.0)
        });
    }
    let all = requests.join_all().await.into_iter().collect::<Result<Vec<_>, _>>();
    all.map_err(|refused| anyhow::Error::from(refused).context("the quiet tenant was refused").into())
}

async fn flood(sender: Sender, number: u64, batch: usize, noise: Arc<Noise>) {
    let mut random = Random::new(sample::now_ns() + number);
    let mut request = sample::traces(&mut random, batch);
    loop {
        match sender.send::<_, ExportTraceServiceResponse>(Method::Traces, request.clone()).await {
            Ok(_) => {
                noise.taken.fetch_add(1, Ordering::Relaxed);
                request = sample::traces(&mut random, batch);
            }
            Err(refused) if refused.code() == Code::ResourceExhausted => {
                noise.refused.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
            Err(_) => return,
        }
    }
}
