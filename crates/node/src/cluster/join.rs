//! A new node asks the others for its number.
//!
//! It has none to speak under yet: it takes one that no member can have, and asks whoever answers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use prost::Message as _;
use tokio::time::{sleep, timeout};
use watershed_actors::Ask;
use watershed_peer::{Fabric, Refused, Request, Service};
use watershed_schema::proto::{JoinNode, PeerAnswer};
use watershed_schema::{GroupId, NodeId};

use super::rests::{self, Piece};
use crate::Config;

/// Numbers from here on are of nodes that have none yet.
pub(super) const NAMELESS: u64 = 1 << 32;
/// Who was nameless a moment ago may be a member by now, and never answer under its old number.
const SEED_DEADLINE: Duration = Duration::from_secs(2);
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

/// The number and the cluster. `None`: this node founds it.
pub(super) async fn join(config: &Config, who: &JoinNode) -> anyhow::Result<Option<(NodeId, String)>> {
    if config.join.is_empty() {
        return Ok(None);
    }
    let may_found = config.join.first() == Some(&config.advertise_addr);
    let random = uuid::Uuid::new_v4().as_u64_pair().0 >> 16;
    let settings = super::peer_config(config, NodeId(NAMELESS + random), String::new())?;
    let fabric = Fabric::start(settings, Arc::new(Nameless)).await?;
    let mut quiet = 0_u32;
    let joined = loop {
        let others = config.join.iter().filter(|address| **address != config.advertise_addr);
        let said = join_all(others.map(|address| ask(&fabric, address, who))).await;
        match decided(said, may_found) {
            Decision::Join(node, cluster_id) => break Some((node, cluster_id)),
            Decision::Found => break None,
            Decision::AskAgain => {}
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

#[derive(Debug, PartialEq)]
enum Decision {
    Join(NodeId, String),
    Found,
    AskAgain,
}

/// What follows from the words of all the others. A cluster is founded only when all of them look for one, too: who is
/// silent may know one already, and a second one would not know what the first acknowledged.
fn decided(said: Vec<Said>, may_found: bool) -> Decision {
    let all_look = said.iter().all(|said| matches!(said, Said::Nameless));
    let joined = said.into_iter().find_map(|said| match said {
        Said::Joined(node, cluster_id) => Some(Decision::Join(node, cluster_id)),
        Said::Nameless | Said::Nothing => None,
    });
    joined.unwrap_or(if may_found && all_look { Decision::Found } else { Decision::AskAgain })
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
    let member = timeout(SEED_DEADLINE, fabric.dial_seed(address)).await??;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn joined() -> Said {
        Said::Joined(NodeId(4), "c".to_owned())
    }

    #[test]
    fn a_cluster_is_founded_only_when_all_others_look_for_one() {
        assert_eq!(decided(vec![Said::Nameless, Said::Nameless], true), Decision::Found);
        assert_eq!(decided(vec![], true), Decision::Found, "there are no others");
        assert_eq!(decided(vec![Said::Nameless, Said::Nothing], true), Decision::AskAgain, "the silent one may know a cluster");
        assert_eq!(decided(vec![Said::Nameless, Said::Nameless], false), Decision::AskAgain, "the first of the list does that");
        for others in [vec![Said::Nothing, joined()], vec![joined(), Said::Nameless]] {
            assert_eq!(decided(others, true), Decision::Join(NodeId(4), "c".to_owned()));
        }
    }
}
