//! This node among others: who it is, and the way to them.

mod identity;
mod join;
mod parts;
mod peers;
mod rests;

use std::sync::Arc;

use anyhow::Context as _;
use watershed_actors::{Budget, Gateway, Membership};
use watershed_peer::{Config as PeerConfig, Fabric, Security};
use watershed_schema::NodeId;
use watershed_schema::proto::{FoundCluster, JoinNode};

use crate::Config;
use identity::Identity;
use peers::{Answers, FabricPeers};

/// Replicas of a shard, as soon as there are so many nodes.
const REPLICAS: u32 = 3;
/// How the secret of `deploy/k8s` begins.
const PLACEHOLDER: &str = "replace-me";

/// Finds or makes the node's place in its cluster; a node that joins nobody founds one of its own.
pub(crate) async fn membership(config: &Config, shards: u16) -> anyhow::Result<Membership> {
    let identity = match Identity::read(&config.data_dir)? {
        Some(identity) => identity,
        None => first_start(config).await.context("join")?,
    };
    let founding = (identity.node == 1).then(|| FoundCluster {
        cluster_id: identity.cluster_id.clone(),
        shards: u32::from(shards),
        replicas: REPLICAS,
        founder: Some(who(config, &identity.join_id)),
    });
    let who = who(config, &identity.join_id);
    let me = NodeId(identity.node);
    let gateway = Gateway::new(me, Budget::new(config.budget.0));
    if config.join.is_empty() {
        return Ok(Membership { me, gateway, peers: Arc::new(watershed_actors::Alone), founding, who });
    }
    let settings = PeerConfig { me, cluster_id: identity.cluster_id, ..peer_config(config)? };
    let fabric = Fabric::start(settings, Arc::new(Answers::new(gateway.clone()))).await.context("cluster_addr")?;
    let peers = Arc::new(FabricPeers::new(fabric, me));
    peers.seek(config.join.clone()).await.with_context(|| format!("data_dir {}", config.data_dir.display()))?;
    Ok(Membership { me, gateway, peers, founding, who })
}

async fn first_start(config: &Config) -> anyhow::Result<Identity> {
    let join_id = uuid::Uuid::new_v4().simple().to_string();
    let found = || Identity { join_id: join_id.clone(), node: 1, cluster_id: crate::serve::cluster_id::draw(&config.data_dir) };
    let identity = if config.join.is_empty() {
        found()
    } else {
        let is_first = config.join.first() == Some(&config.advertise_addr);
        let joined = join::join(config, &who(config, &join_id), is_first).await?;
        joined.map_or_else(found, |(node, cluster_id)| Identity { join_id: join_id.clone(), node: node.0, cluster_id })
    };
    identity.write(&config.data_dir)?;
    Ok(identity)
}

fn who(config: &Config, join_id: &str) -> JoinNode {
    JoinNode { join_id: join_id.to_owned(), address: config.advertise_addr.clone(), zone: config.zone.clone() }
}

fn peer_config(config: &Config) -> anyhow::Result<PeerConfig> {
    let path = &config.cluster_secret_file;
    let secret = std::fs::read_to_string(path).with_context(|| format!("cluster_secret_file {}", path.display()))?;
    if secret.starts_with(PLACEHOLDER) {
        tracing::warn!(file = %path.display(), "everybody can read the secret of the example: make one of your own");
    }
    Ok(PeerConfig {
        me: NodeId(1),
        cluster: config.cluster_name.clone(),
        cluster_id: String::new(),
        listen: config.cluster_addr,
        advertise: Some(config.advertise_addr.clone()),
        security: Security::Secret(secret.trim().to_owned()),
    })
}
