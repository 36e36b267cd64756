//! `watershed cluster`: nodes and replicas, and changes of them.

mod table;

use std::time::Duration;

use clap::{Args, Subcommand};
use watershed_client::{ClusterAdmin, DescribeClusterResponse};

use crate::Target;
use crate::out::{self, Failure};

pub(crate) const EXAMPLES: &str = "A new node adds itself: `watershed serve --join HOST:PORT,…`.

Examples:
  watershed cluster status
  watershed cluster drain 4 && watershed cluster remove 4
  watershed cluster drain watershed-4.
  watershed cluster transfer-leader --shard 7 --to 2";

const LOOK_AGAIN: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(crate) struct Flags {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// One line for each node and each replica.
    Status {
        #[command(flatten)]
        target: Target,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have a node that drains take replicas again; a new node adds itself with `serve --join`.
    Add(Node),
    /// Have a node give its replicas away; returns when it holds none.
    Drain {
        #[command(flatten)]
        node: Node,
        /// Do not wait.
        #[arg(long)]
        no_wait: bool,
    },
    /// Give a node up for good that drained or is dead: its replicas are made anew elsewhere.
    Remove(Node),
    /// Return when every replica and every leader is where it should be; the controller works on that at all times.
    Rebalance {
        #[command(flatten)]
        target: Target,
    },
    /// Hand the leadership of a shard to one of its voters.
    TransferLeader {
        #[command(flatten)]
        target: Target,
        /// The shard.
        #[arg(long)]
        shard: u32,
        /// The node that is to lead.
        #[arg(long)]
        to: u64,
    },
}

#[derive(Args)]
struct Node {
    #[command(flatten)]
    target: Target,
    /// Its number, or how its address begins; both are in `watershed cluster status`.
    node: String,
}

impl Node {
    async fn connect(&self) -> Result<(ClusterAdmin, u64), Failure> {
        let cluster = self.target.connect().await?.cluster();
        if let Ok(number) = self.node.parse() {
            return Ok((cluster, number));
        }
        let nodes = cluster.describe().await?.nodes;
        let mut found = nodes.iter().filter(|node| node.state != "removed" && node.address.starts_with(&self.node));
        match (found.next(), found.next()) {
            (Some(node), None) => Ok((cluster, node.node)),
            (None, _) => Err(Failure::refused(&format!("node: no address begins with {}", self.node))),
            (Some(_), Some(_)) => Err(Failure::refused(&format!("node: several addresses begin with {}", self.node))),
        }
    }
}

pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    match flags.what {
        What::Status { target, json } => {
            let cluster = target.connect().await?.cluster().describe().await?;
            Ok(out::data(&if json { table::json(&cluster) } else { table::text(&cluster) })?)
        }
        What::Add(node) => {
            let (cluster, node) = node.connect().await?;
            Ok(cluster.resume(node).await?)
        }
        What::Drain { node, no_wait } => {
            let (cluster, node) = node.connect().await?;
            cluster.drain(node).await?;
            if no_wait { Ok(()) } else { until(&cluster, |now| left(now, node)).await }
        }
        What::Remove(node) => {
            let (cluster, node) = node.connect().await?;
            Ok(cluster.remove(node).await?)
        }
        What::Rebalance { target } => {
            let cluster = target.connect().await?.cluster();
            until(&cluster, |now| Some(now.next_step.clone()).filter(|step| !step.is_empty())).await
        }
        What::TransferLeader { target, shard, to } => Ok(target.connect().await?.cluster().transfer_leader(shard, to).await?),
    }
}

/// What a node still holds, in words.
fn left(now: &DescribeClusterResponse, node: u64) -> Option<String> {
    let holds = now.replicas.iter().filter(|replica| replica.node == node && replica.shard.is_some()).count();
    // The control log knows; what the nodes say of their replicas is missing where one does not answer.
    let is_to = now.nodes.iter().any(|known| known.node == node && (known.shards > 0 || known.votes_in_control));
    (holds > 0 || is_to).then(|| format!("node {node} holds {holds} shards"))
}

/// Says what is left whenever that changes, until nothing is.
async fn until(cluster: &ClusterAdmin, left: impl Fn(&DescribeClusterResponse) -> Option<String>) -> Result<(), Failure> {
    let mut said = String::new();
    while let Some(now) = left(&cluster.describe().await?) {
        if now != said {
            out::say(&now);
            said = now;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}
