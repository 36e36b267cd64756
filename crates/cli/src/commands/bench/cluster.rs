//! Several nodes on this machine: what replication costs, what a death costs, what a new node moves.

mod failover;
mod freeze;
mod grow;
mod idle;
mod load;
mod nodes;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::out::Failure;
use nodes::Nodes;

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// Nodes that begin.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Shards of the cluster.
    #[arg(long, default_value_t = 16)]
    shards: u16,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone)]
enum What {
    /// CPU time of nodes that nobody asks anything.
    Idle(idle::Flags),
    /// Spans to all nodes and all shards.
    Ingest(load::Flags),
    /// `kill -9` of one node after the other under load: how long until all shards take writes again.
    Failover(failover::Flags),
    /// A node is frozen under load: memory of the others.
    Freeze(freeze::Flags),
    /// One more node under load: replicas that move, requests that are refused.
    Grow(grow::Flags),
}

/// A tenant whose events go to every shard.
pub(super) const TENANT: &str = "spread";

pub(super) async fn run(flags: &Flags, set: &[String]) -> Result<Value, Failure> {
    let mut nodes = Nodes::start(flags.nodes, flags.shards, set)?;
    nodes.settled().await?;
    let result = match &flags.what {
        What::Idle(idle) => idle::run(&nodes, idle).await?,
        What::Ingest(load) => load::run(&nodes, load).await?,
        What::Failover(failover) => failover::run(&mut nodes, failover).await?,
        What::Freeze(freeze) => freeze::run(&nodes, freeze).await?,
        What::Grow(grow) => grow::run(&mut nodes, grow).await?,
    };
    Ok(json!({
        "bench": "cluster", "nodes": flags.nodes, "shards": flags.shards, "replicas": flags.nodes.min(3),
        "where": "all nodes and the senders on one machine", "result": result,
    }))
}
