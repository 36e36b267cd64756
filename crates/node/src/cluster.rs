//! This node among others: who it is, and the way to them.

mod beats;
mod identity;
mod join;
mod parts;
mod peers;
mod rests;
mod waiting;

use std::sync::Arc;

use anyhow::Context as _;
use watershed_actors::{Backlog, Budget, Gateway, Membership};
use watershed_peer::{Config as PeerConfig, Fabric, Security};
use watershed_schema::NodeId;
use watershed_schema::proto::{FoundCluster, JoinNode};

use crate::Config;
use identity::Identity;
use peers::{Answers, FabricPeers};

/// Replicas of a shard, as soon as there are so many nodes.
const REPLICAS: u32 = 3;
/// Number of the node that founds a cluster.
const FOUNDER: u64 = 1;
/// How the secret of `deploy/k8s` begins.
const PLACEHOLDER: &str = "replace-me";

/// Finds or makes the node's place in its cluster; a node that joins nobody founds one of its own.
pub(crate) async fn membership(config: &Config, shards: u16) -> anyhow::Result<Membership> {
    let identity = match Identity::read(&config.data_dir)? {
        Some(identity) if identity.has_joined() => identity,
        begun => first_start(config, begun).await.context("join")?,
    };
    let founding = (identity.node == FOUNDER).then(|| FoundCluster {
        cluster_id: identity.cluster_id.clone(),
        shards: u32::from(shards),
        replicas: REPLICAS,
        founder: Some(who(config, &identity.join_id)),
    });
    let who = who(config, &identity.join_id);
    let me = NodeId(identity.node);
    let gateway = Gateway::new(me, Budget::new(config.budget.0), Backlog::new(config.archive_backlog.0 as u64));
    if config.join.is_empty() {
        return Ok(Membership { me, gateway, peers: Arc::new(watershed_actors::Alone), founding, who });
    }
    let settings = peer_config(config, me, identity.cluster_id)?;
    let fabric = Fabric::start(settings, Arc::new(Answers::new(gateway.clone()))).await.context("cluster_addr")?;
    let peers = Arc::new(FabricPeers::new(fabric, me));
    peers.seek(config.join.clone()).await.with_context(|| format!("data_dir {}", config.data_dir.display()))?;
    Ok(Membership { me, gateway, peers, founding, who })
}

/// The folder has its name before anybody is asked: who dies while it joins is not taken for another node the next time.
async fn first_start(config: &Config, begun: Option<Identity>) -> anyhow::Result<Identity> {
    let mut identity = begun.unwrap_or_else(Identity::draw);
    identity.write(&config.data_dir)?;
    (identity.node, identity.cluster_id) = match join::join(config, &who(config, &identity.join_id)).await? {
        Some((node, cluster_id)) => (node.0, cluster_id),
        None => (FOUNDER, crate::serve::cluster_id::draw(&config.data_dir)),
    };
    identity.write(&config.data_dir)?;
    Ok(identity)
}

fn who(config: &Config, join_id: &str) -> JoinNode {
    JoinNode { join_id: join_id.to_owned(), address: config.advertise_addr.clone(), zone: config.zone.clone() }
}

fn peer_config(config: &Config, me: NodeId, cluster_id: String) -> anyhow::Result<PeerConfig> {
    Ok(PeerConfig {
        me,
        cluster: config.cluster_name.clone(),
        cluster_id,
        listen: config.cluster_addr,
        advertise: Some(config.advertise_addr.clone()),
        security: security(config)?,
    })
}

fn security(config: &Config) -> anyhow::Result<Security> {
    let [cert, key, ca] =
        [&config.cluster_tls_cert_file, &config.cluster_tls_key_file, &config.cluster_tls_ca_file].map(Clone::clone);
    if !cert.as_os_str().is_empty() {
        return Ok(Security::Mtls { cert, key, ca });
    }
    let path = &config.cluster_secret_file;
    let secret = std::fs::read_to_string(path).with_context(|| format!("cluster_secret_file {}", path.display()))?;
    if secret.starts_with(PLACEHOLDER) {
        tracing::warn!(file = %path.display(), "everybody can read the secret of the example: make one of your own");
    }
    Ok(Security::Secret(secret.trim().to_owned()))
}
