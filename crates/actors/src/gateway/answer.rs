//! What other nodes may ask of this one.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use watershed_cluster::{Group, RaftCall};
use watershed_schema::proto::control_command::Command;
use watershed_schema::proto::peer_refusal::Reason;
use watershed_schema::proto::{
    JoinNode, PeerAnswer, PeerAppend, PeerPartial, PeerPositions, PeerPropose, PeerRefusal, PeerScan, PeerTail, PeerTransfer,
    PeerUpkeep, PeerVoters,
};
use watershed_schema::{EntryKind, EventBatch, GroupId, NodeId, Seq};

use super::Gateway;
use super::refusal::{absent, busy, invalid, of_append, of_group, of_read, of_upkeep, refusal};
use crate::archive::ArchiverHandle;
use crate::shard::{Replica, wire};
use crate::{Ask, members, status};

/// Longest that a question for news waits.
const TAIL_WAIT_MAX: Duration = Duration::from_secs(10);

impl Gateway {
    /// Answers another node's call. It may be dropped at the caller's deadline: what was begun goes on.
    ///
    /// # Errors
    /// Why it cannot be answered at all.
    pub async fn answer(&self, kind: u8, group: GroupId, body: Bytes) -> Result<Bytes, String> {
        if let Some(call) = RaftCall::from_number(kind) {
            let here = self.group(group).ok_or_else(|| format!("group {group} is not here"))?;
            return on(async move { here.receive(call, body).await.map_err(|error| error.to_string()) }).await;
        }
        let ask = Ask::from_number(kind).ok_or_else(|| format!("call {kind} is not known"))?;
        let gateway = self.clone();
        on(async move { Ok(Bytes::from(gateway.asked(ask, group, body).await.encode_to_vec())) }).await
    }

    /// Answers a heartbeat; the caller may stop waiting at any time.
    ///
    /// # Errors
    /// Why it cannot be answered.
    pub async fn beat(&self, group: GroupId, body: Bytes) -> Result<Bytes, String> {
        let here = self.group(group).ok_or_else(|| format!("group {group} is not here"))?;
        here.receive(RaftCall::Heartbeat, body).await.map_err(|error| error.to_string())
    }

    async fn asked(&self, ask: Ask, group: GroupId, body: Bytes) -> PeerAnswer {
        let done = match ask {
            Ask::Append => self.append(group, body).await,
            Ask::ReadIndex => self.read_index(group).await,
            Ask::Propose => self.propose(group, body).await,
            Ask::Voters => self.voters(group, body).await,
            Ask::Transfer => self.transfer(group, body).await,
            Ask::Join => self.join(body).await,
            Ask::Scan => self.scan(group, body).await,
            Ask::Heads => self.heads(group, body).await,
            Ask::Partial => self.partial(group, body).await,
            Ask::Tail => self.tail(group, body).await,
            Ask::Staged => self.staged(group).await,
            Ask::Upkeep => self.upkeep(body).await,
            Ask::Stage => self.stage().await,
            Ask::Letters => self.letters(group).await,
            Ask::Replicas => Ok(PeerAnswer { replicas: status::replicas(self), ..PeerAnswer::default() }),
        };
        done.unwrap_or_else(|refusal| PeerAnswer { refusal: Some(refusal), ..PeerAnswer::default() })
    }

    /// A group of this node.
    fn grouped(&self, id: GroupId) -> Result<Group, PeerRefusal> {
        self.group(id).ok_or_else(|| absent(id))
    }

    /// The replica that leads a shard, if it is here.
    fn leading(&self, id: GroupId) -> Result<Replica, PeerRefusal> {
        let replica = id.shard().and_then(|shard| self.replica(shard)).ok_or_else(|| absent(id))?;
        if replica.is_leader() { Ok(replica) } else { Err(of_group(replica.not_leader())) }
    }

    async fn append(&self, group: GroupId, body: Bytes) -> Result<PeerAnswer, PeerRefusal> {
        let replica = self.leading(group)?;
        let permit = self.budget().admit(body.len()).map_err(|full| busy(full.to_string(), full.retry_after))?;
        let sealed = PeerAppend::decode(body).map_err(invalid)?.batch.unwrap_or_default();
        let batch = EventBatch::open(&sealed).map_err(invalid)?;
        let appended = replica.append(Arc::new(batch), Arc::new(permit)).await.map_err(of_append)?;
        Ok(PeerAnswer { events: appended.events, duplicates: appended.duplicates, ..PeerAnswer::default() })
    }

    async fn read_index(&self, group: GroupId) -> Result<PeerAnswer, PeerRefusal> {
        if group != GroupId::CONTROL {
            return Ok(positions(&self.leading(group)?.read_index().await.map_err(of_read)?));
        }
        let here = self.grouped(group)?;
        here.read_index().await.map_err(of_group)?;
        let tail_seq = here.status().applied.map_or(0, |lsn| lsn.0);
        Ok(PeerAnswer { positions: Some(PeerPositions { tail_seq, ..PeerPositions::default() }), ..PeerAnswer::default() })
    }

    async fn propose(&self, group: GroupId, body: Bytes) -> Result<PeerAnswer, PeerRefusal> {
        let here = self.grouped(group)?;
        let asked = PeerPropose::decode(body).map_err(invalid)?;
        let kind = u8::try_from(asked.kind).ok().and_then(EntryKind::from_number);
        let may = |kind: &EntryKind| {
            matches!(kind, EntryKind::Staged | EntryKind::Archived | EntryKind::DeadLetter | EntryKind::Control)
        };
        let kind = kind.filter(may);
        let kind = kind.ok_or_else(|| invalid(format!("kind {} is not for others to propose", asked.kind)))?;
        let applied = here.propose(kind, asked.payload).await.map_err(of_group)?;
        Ok(PeerAnswer { applied: applied.answer, ..PeerAnswer::default() })
    }

    async fn voters(&self, group: GroupId, body: Bytes) -> Result<PeerAnswer, PeerRefusal> {
        let here = self.grouped(group)?;
        let voters = PeerVoters::decode(body).map_err(invalid)?.voters.into_iter().map(NodeId).collect();
        members::change(&here, voters).await.map_err(of_group)?;
        Ok(PeerAnswer::default())
    }

    async fn transfer(&self, group: GroupId, body: Bytes) -> Result<PeerAnswer, PeerRefusal> {
        let here = self.grouped(group)?;
        let to = NodeId(PeerTransfer::decode(body).map_err(invalid)?.to);
        here.transfer_leader(to).await.map_err(of_group)?;
        Ok(PeerAnswer::default())
    }

    /// Gives a new node its number.
    async fn join(&self, body: Bytes) -> Result<PeerAnswer, PeerRefusal> {
        let control = self.control().ok_or_else(|| refusal(Reason::Stopped, "this node has no cluster yet"))?;
        let who = JoinNode::decode(body).map_err(invalid)?;
        let node = control.propose(Command::Join(who)).await.map_err(of_group)?;
        let node = node.ok_or_else(|| refusal(Reason::Invalid, "the cluster does not take this node in: it was removed"))?;
        Ok(PeerAnswer { node: node.0, cluster_id: control.view().cluster_id.clone(), ..PeerAnswer::default() })
    }

    async fn scan(&self, group: GroupId, body: Bytes) -> Result<PeerAnswer, PeerRefusal> {
        metrics::counter!("watershed_peer_scans_total").increment(1);
        let request = wire::scan_of(PeerScan::decode(body).map_err(invalid)?).map_err(invalid)?;
        let page = self.leading(group)?.read(request).await.map_err(of_read)?;
        Ok(PeerAnswer { page: Some(wire::page(&page)), ..PeerAnswer::default() })
    }

    async fn heads(&self, group: GroupId, body: Bytes) -> Result<PeerAnswer, PeerRefusal> {
        let request = wire::scan_of(PeerScan::decode(body).map_err(invalid)?).map_err(invalid)?;
        let heads = self.leading(group)?.heads(request).await.map_err(of_read)?;
        Ok(PeerAnswer { page: Some(wire::heads(heads)), ..PeerAnswer::default() })
    }

    async fn partial(&self, group: GroupId, body: Bytes) -> Result<PeerAnswer, PeerRefusal> {
        metrics::counter!("watershed_peer_partials_total").increment(1);
        let asked = PeerPartial::decode(body).map_err(invalid)?;
        let shard = self.leading(group)?.id();
        let aggregates = self.aggregates().ok_or_else(|| invalid("this node does not aggregate yet"))?;
        let states = aggregates.states(shard, asked).await.map_err(of_read)?;
        Ok(PeerAnswer { states: Some(states), ..PeerAnswer::default() })
    }

    async fn tail(&self, group: GroupId, body: Bytes) -> Result<PeerAnswer, PeerRefusal> {
        let asked = PeerTail::decode(body).map_err(invalid)?;
        let replica = self.leading(group)?;
        let (mut watch, wait) = (replica.watch(), Duration::from_millis(asked.wait_ms.into()).min(TAIL_WAIT_MAX));
        drop(tokio::time::timeout(wait, watch.wait_for(|now| now.tail() > Seq(asked.after_seq))).await);
        Ok(positions(&replica.positions()))
    }

    async fn staged(&self, group: GroupId) -> Result<PeerAnswer, PeerRefusal> {
        let replica = self.leading(group)?;
        let now = replica.read_index().await.map_err(of_read)?;
        let staged = replica.staged().iter().map(crate::shard::StagedFiles::to_proto).collect();
        Ok(PeerAnswer { staged, ..positions(&now) })
    }

    async fn letters(&self, group: GroupId) -> Result<PeerAnswer, PeerRefusal> {
        let replica = self.leading(group)?;
        replica.read_index().await.map_err(of_read)?;
        Ok(PeerAnswer { dead_letters: replica.dead_letters().to_vec(), ..PeerAnswer::default() })
    }
}

/// What concerns the lake.
impl Gateway {
    fn lake(&self) -> Result<Arc<ArchiverHandle>, PeerRefusal> {
        self.archiver().ok_or_else(|| refusal(Reason::Stopped, "this node has no lake"))
    }

    async fn upkeep(&self, body: Bytes) -> Result<PeerAnswer, PeerRefusal> {
        let asked = PeerUpkeep::decode(body).map_err(invalid)?;
        self.lake()?.upkeep_here(asked).await.map_err(of_upkeep)
    }

    async fn stage(&self) -> Result<PeerAnswer, PeerRefusal> {
        match self.lake()?.flush().await {
            true => Ok(PeerAnswer::default()),
            false => Err(refusal(Reason::Busy, "what is committed could not be staged")),
        }
    }
}

fn positions(now: &watershed_schema::Positions) -> PeerAnswer {
    PeerAnswer { positions: Some(wire::positions(now)), ..PeerAnswer::default() }
}

/// In a task of its own: a caller that went away does not cut it in half.
async fn on<T: Send + 'static>(work: impl Future<Output = Result<T, String>> + Send + 'static) -> Result<T, String> {
    tokio::spawn(work).await.map_err(|error| error.to_string())?
}
