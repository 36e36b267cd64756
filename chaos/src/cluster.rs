//! Nodes that form one cluster: processes with a network, a disk and a log of their own, and a lake that they share.

mod disk;
mod fail_points;
mod node;
mod process;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use watershed_client::{Client, ShardStatus, StatusResponse};
use watershed_kubelet::network::Network;

pub use fail_points::FailPoints;
pub use node::Node;
pub use process::Exit;

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Number of nodes.
    pub nodes: usize,
    /// The program.
    pub server: PathBuf,
    /// Number of shards.
    pub shards: u32,
    /// Tenants that are spread over all shards.
    pub high_volume: Vec<String>,
    /// Tenants with tables of their own. Each node leaves another of them out, as while an operator rolls a new list out.
    pub own_tables: Vec<String>,
    /// What nodes break of themselves.
    pub fail_points: FailPoints,
    /// Name of this run, part of the names of its namespaces.
    pub run: String,
}

/// Killed, unmounted and taken off the network when dropped.
#[derive(Debug)]
pub struct Cluster {
    /// By place.
    pub nodes: Vec<Arc<Node>>,
    /// The lake's folder.
    pub lake: PathBuf,
    network: Arc<Network>,
}

const CLUSTER_PORT: u16 = 4319;
const STATUS_DEADLINE: Duration = Duration::from_secs(2);

/// What a node lists: all but the tenant of its place.
fn listed(own_tables: &[String], place: usize) -> String {
    let others = own_tables.iter().enumerate().filter(|(number, _)| *number != place);
    others.map(|(_, tenant)| tenant.as_str()).collect::<Vec<_>>().join(",")
}

impl Cluster {
    /// Makes networks and disks under `dir`, and starts all nodes; they are not ready yet.
    ///
    /// # Errors
    /// When something cannot be made.
    pub fn start(settings: &Settings, dir: &Path, network: &Arc<Network>) -> anyhow::Result<Self> {
        let (secret, lake) = (dir.join("secret"), dir.join("lake"));
        std::fs::write(&secret, "a secret of a test")?;
        std::fs::create_dir_all(&lake)?;
        let names: Vec<String> = (0..settings.nodes).map(|place| format!("{}-node-{place}", settings.run)).collect();
        let addresses = names.iter().map(|name| network.join(name)).collect::<anyhow::Result<Vec<_>>>()?;
        let seeds: Vec<String> = addresses.iter().map(|address| format!("{address}:{CLUSTER_PORT}")).collect();
        let mut cluster = Self { nodes: Vec::new(), lake: lake.clone(), network: Arc::clone(network) };
        for (place, (name, address)) in names.into_iter().zip(addresses).enumerate() {
            let environment = [
                ("CLUSTER_ADDR", seeds[place].clone()),
                ("ADVERTISE_ADDR", seeds[place].clone()),
                ("JOIN", seeds.join(",")),
                ("CLUSTER_SECRET_FILE", secret.display().to_string()),
                ("LAKE_DIR", lake.display().to_string()),
                ("GRPC_ADDR", format!("{address}:4317")),
                ("HTTP_ADDR", format!("{address}:4318")),
                ("SHARDS", settings.shards.to_string()),
                ("HIGH_VOLUME_TENANTS", settings.high_volume.join(",")),
                ("LAKE_OWN_TABLES", listed(&settings.own_tables, place)),
                ("FLUSH_INTERVAL", "2s".to_owned()),
            ];
            let environment = environment.into_iter().map(|(key, value)| (format!("WATERSHED_{key}"), value)).collect();
            let place = node::Place { place, name, address };
            let node = Node::create(place, settings, environment, dir)?;
            cluster.nodes.push(Arc::new(node));
        }
        cluster.nodes.iter().try_for_each(|node| node.start())?;
        Ok(cluster)
    }

    /// Undoes whatever was done, and starts everybody; fail points that were drawn are for the time before.
    ///
    /// # Errors
    /// When a node cannot be started.
    pub fn heal(&self) -> anyhow::Result<()> {
        for node in &self.nodes {
            let others = self.nodes.iter().filter(|other| other.address() != node.address());
            others.into_iter().try_for_each(|other| node.mend_way_to(other.address()))?;
            node.heal()?;
        }
        Ok(())
    }

    /// Addresses of gRPC, by place.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.endpoint()).collect()
    }

    /// What a node says of itself; `None` when it does not answer.
    pub async fn status(&self, place: usize) -> Option<StatusResponse> {
        let ask = async { Client::connect(&self.nodes[place].endpoint()).await.ok()?.status().await.ok() };
        tokio::time::timeout(STATUS_DEADLINE, ask).await.ok()?
    }

    /// What everybody who answers says.
    pub async fn statuses(&self) -> Vec<Option<StatusResponse>> {
        futures::future::join_all((0..self.nodes.len()).map(|place| self.status(place))).await
    }

    /// How each node sees each shard, for people.
    pub async fn described(&self) -> Vec<String> {
        let statuses = self.statuses().await;
        let lines = statuses.iter().enumerate().flat_map(|(place, status)| match status {
            None => vec![format!("node {place} does not answer")],
            Some(status) => status.shards.iter().map(|shard| describe(place, status.node, shard)).collect(),
        });
        lines.collect()
    }

    /// The place of the node with a number in the cluster.
    #[must_use]
    pub fn place_of(&self, number: u64) -> Option<usize> {
        self.nodes.iter().position(|node| node.number() == Some(number))
    }
}

fn describe(place: usize, number: u64, status: &ShardStatus) -> String {
    let ShardStatus { shard, role, leader_node, term, voters, archived_seq, staged_seq, tail_seq, .. } = status;
    format!(
        "node {place} (number {number}): shard {shard} {role}, leader {leader_node} of term {term}, voters {voters:?}, \
         archived {archived_seq}, staged {staged_seq}, tail {tail_seq}"
    )
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &self.nodes {
            node.end();
            drop(self.network.leave(node.name()));
        }
    }
}
