//! A new node asks the others for its number.
//!
//! It has none to speak under yet: it takes one that no member can have, and asks whoever answers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use prost::Message as _;
use tokio::time::sleep;
use watershed_actors::Ask;
use watershed_peer::{Config as PeerConfig, Fabric, Refused, Request, Service};
use watershed_schema::proto::{JoinNode, PeerAnswer};
use watershed_schema::{GroupId, NodeId};

use super::rests::{self, Piece};
use crate::Config;

/// Numbers from here on are of nodes that have none yet.
pub(super) const NAMELESS: u64 = 1 << 32;
const JOIN_DEADLINE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(300);

struct Nameless;

#[async_trait]
impl Service for Nameless {
    async fn call(&self, _: NodeId, _: u8, _: u32, _: Bytes) -> Result<Bytes, Refused> {
        Err(Refused("this node has not joined yet".to_owned()))
    }
}

/// What another node of the list said.
enum Said {
    Joined(NodeId, String),
    /// It looks for a cluster itself.
    Nameless,
    Nothing,
}

/// The number and the cluster. `None`: all the others look for one, too, and this node founds it. One that is silent may
/// know a cluster: a second one would not know what the first acknowledged.
pub(super) async fn join(config: &Config, who: &JoinNode, may_found: bool) -> anyhow::Result<Option<(NodeId, String)>> {
    let random = uuid::Uuid::new_v4().as_u64_pair().0 >> 16;
    let settings = PeerConfig { me: NodeId(NAMELESS + random), ..super::peer_config(config)? };
    let fabric = Fabric::start(settings, Arc::new(Nameless)).await?;
    let mut quiet = 0_u32;
    let joined = loop {
        let others = config.join.iter().filter(|address| **address != config.advertise_addr);
        let said = join_all(others.map(|address| ask(&fabric, address, who))).await;
        if let Some(joined) = said.iter().find_map(Said::joined) {
            break Some(joined);
        }
        if may_found && said.iter().all(|said| matches!(said, Said::Nameless)) {
            break None;
        }
        if quiet.is_multiple_of(20) {
            tracing::info!(of = ?config.join, "nobody has taken this node in yet");
        }
        quiet += 1;
        sleep(LOOK_AGAIN).await;
    };
    fabric.stop().await;
    Ok(joined)
}

impl Said {
    fn joined(&self) -> Option<(NodeId, String)> {
        if let Self::Joined(node, cluster_id) = self { Some((*node, cluster_id.clone())) } else { None }
    }
}

async fn ask(fabric: &Fabric, address: &str, who: &JoinNode) -> Said {
    match try_ask(fabric, address, who).await {
        Ok(said) => said,
        Err(error) => {
            tracing::debug!(%address, %error, "does not take this node in");
            Said::Nothing
        }
    }
}

async fn try_ask(fabric: &Fabric, address: &str, who: &JoinNode) -> anyhow::Result<Said> {
    let member = fabric.dial_seed(address).await?;
    if member.0 >= NAMELESS {
        return Ok(Said::Nameless);
    }
    let request = Request::new(Ask::Join as u8, GroupId::CONTROL.0, who.encode_to_vec().into());
    let answered = rests::opened(fabric.call(member, request, JOIN_DEADLINE).await?).map_err(anyhow::Error::msg)?;
    let Piece::Whole(answer) = answered else { anyhow::bail!("an answer in pieces") };
    let answer = PeerAnswer::decode(answer)?;
    anyhow::ensure!(answer.refusal.is_none() && answer.node > 0, "{}", answer.refusal.unwrap_or_default().text);
    Ok(Said::Joined(NodeId(answer.node), answer.cluster_id))
}
