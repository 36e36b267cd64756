//! One more node: it should take its share of the replicas and no more, while everybody writes on.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::load::{self, Load};
use super::nodes::Nodes;
use crate::out::Failure;

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// Records a second meanwhile.
    #[arg(long, default_value_t = 5_000)]
    rate: u64,
}

/// Shard and node of every voter.
async fn placed(nodes: &Nodes) -> Result<Vec<(u32, u64)>, Failure> {
    let now = nodes.describe().await?;
    let leaders = now.replicas.iter().filter(|replica| replica.leader == replica.node);
    let voters = leaders.filter_map(|replica| Some((replica.shard?, &replica.voters)));
    Ok(voters.flat_map(|(shard, voters)| voters.iter().map(move |node| (shard, *node))).collect())
}

pub(super) async fn run(nodes: &mut Nodes, flags: &Flags) -> Result<Value, Failure> {
    let load = load::Flags { seconds: 0, batch: 128, connections: 3, tenants: 0, rate: flags.rate };
    let before = placed(nodes).await?;
    let senders = Load::start(&nodes.targets(), &load);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let began = Instant::now();
    nodes.add()?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    nodes.settled().await?;
    let seconds = began.elapsed().as_secs_f64();
    let mut sent = senders.stop().await?;
    let after = placed(nodes).await?;
    let moved = after.iter().filter(|place| !before.contains(place)).count();
    let ideal = after.len() as f64 / nodes.pids().len() as f64;
    Ok(json!({
        "phase": "grow", "replicas": after.len(), "moved": moved, "ideal": ideal, "moved_by_ideal": moved as f64 / ideal,
        "seconds_until_settled": seconds, "load": sent.json(),
    }))
}
