//! Deaths under load: how long until every shard takes writes again.

use std::time::{Duration, Instant};

use clap::Args;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use serde_json::{Value, json};
use watershed_sample::{self as sample, Random};

use super::load::{self, Load};
use super::nodes::Nodes;
use crate::Target;
use crate::commands::bench::percentile;
use crate::commands::send;
use crate::otlp::Method;
use crate::out::Failure;

/// Traces in a probe: enough to meet every one of 16 shards with near certainty.
const PROBE: usize = 1024;
const PROBE_DEADLINE: Duration = Duration::from_secs(30);

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// Deaths.
    #[arg(long, default_value_t = 20)]
    kills: usize,
    /// Records a second meanwhile.
    #[arg(long, default_value_t = 5_000)]
    rate: u64,
}

pub(super) async fn run(nodes: &mut Nodes, flags: &Flags) -> Result<Value, Failure> {
    let load = load::Flags { seconds: 0, batch: 128, connections: 3, tenants: 0, rate: flags.rate };
    let (mut seconds, mut refused) = (Vec::new(), 0);
    for number in 0..flags.kills {
        let victim = number % 3;
        let senders = Load::start(&nodes.targets(), &load);
        tokio::time::sleep(Duration::from_secs(1)).await;
        nodes.kill(victim);
        seconds.push(until_all_shards(&nodes.targets()).await?);
        refused += senders.stop().await?.refused;
        nodes.start_again(victim)?;
        nodes.settled().await?;
    }
    let each = seconds.clone();
    let (p50, p99, max) = (percentile(&mut seconds, 0.5), percentile(&mut seconds, 0.99), percentile(&mut seconds, 1.0));
    Ok(json!({
        "phase": "failover", "kills": flags.kills, "rate": flags.rate, "refused_requests": refused,
        "seconds_until_all_shards_take_writes": { "p50": p50, "p99": p99, "max": max, "each": each },
    }))
}

/// From now until a request with a part for every shard is acknowledged.
async fn until_all_shards(targets: &[Target]) -> Result<f64, Failure> {
    let (began, mut random) = (Instant::now(), Random::new(sample::now_ns()));
    for target in targets.iter().cycle() {
        let sender = send::connect(target).await?;
        let answer: Result<ExportTraceServiceResponse, _> = sender.send(Method::Traces, sample::traces(&mut random, PROBE)).await;
        if answer.is_ok() {
            return Ok(began.elapsed().as_secs_f64());
        }
        if began.elapsed() > PROBE_DEADLINE {
            break;
        }
    }
    Err(Failure::refused("writes to all shards do not succeed again"))
}
