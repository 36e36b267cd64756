//! openraft's network over a [`Transport`]: bodies, deadlines, and a pipelined stream of appends.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult};
use openraft::raft::{TransferLeaderRequest, VoteRequest, VoteResponse};
use openraft::type_config::alias::SnapshotOf;
use openraft::{AnyError, EmptyNode, OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use prost::Message;
use watershed_schema::{GroupId, NodeId};

use super::pipeline;
use super::types::{Types, Vote};
use super::wire::{self, Append, Appended, AskVote, Install, Outcome, Place, Transfer, Transferred, Voted};
use crate::transport::{Call, RaftCall, SHARED_BODY_BYTES_MAX, Transport, TransportError};

/// An append waits for the other side's disk, so openraft's own limit (one heartbeat) would be too short.
const APPEND_DEADLINE: Duration = Duration::from_secs(1);

type RpcError = RPCError<Types>;
/// What openraft wants of a stream of appends.
pub(super) type Streamed<'s> = futures::stream::BoxStream<'s, Result<StreamAppendResult<Types>, RpcError>>;

/// The ways to all other replicas of a group.
#[derive(Clone)]
pub(crate) struct Peers {
    transport: Arc<dyn Transport>,
    group: GroupId,
    incarnation: u64,
    streams: Arc<AtomicU64>,
}

impl Peers {
    pub(crate) fn new(transport: Arc<dyn Transport>, group: GroupId) -> Self {
        Self { transport, group, incarnation: incarnation(), streams: Arc::default() }
    }

    fn peer(&self, target: u64, ordered: bool) -> Peer {
        Peer { peers: self.clone(), to: NodeId(target), ordered }
    }
}

/// A number that no other life of this replica has: the standard library seeds its hasher at random.
fn incarnation() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0)
}

impl RaftNetworkFactory<Types> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> Peer {
        self.peer(target, true)
    }

    /// Heartbeats name an entry that the follower is known to have: they need no place behind the data.
    async fn new_heartbeat_client(&mut self, target: u64, _node: &EmptyNode) -> Peer {
        self.peer(target, false)
    }
}

/// The way to one other replica. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Peer {
    peers: Peers,
    to: NodeId,
    ordered: bool,
}

impl Peer {
    /// Where a new stream of appends begins.
    pub(super) fn first_place(&self) -> Option<Place> {
        let number = || self.peers.streams.fetch_add(1, Ordering::Relaxed);
        self.ordered.then(|| Place { incarnation: self.peers.incarnation, stream: number(), number: 0 })
    }

    /// Sends one append.
    pub(super) async fn append(&self, kind: RaftCall, body: Bytes) -> Result<AppendEntriesResponse<Types>, RpcError> {
        let appended: Appended = self.ask(kind, body, APPEND_DEADLINE).await?;
        match appended.outcome() {
            Outcome::Durable => Ok(AppendEntriesResponse::Success),
            Outcome::Conflict => Ok(AppendEntriesResponse::Conflict),
            Outcome::HigherVote => Ok(AppendEntriesResponse::HigherVote(vote(appended.vote.as_ref())?)),
        }
    }

    /// The deadline is ours to keep, whatever the transport does with it.
    async fn ask<M: Message + Default>(&self, kind: RaftCall, body: Bytes, deadline: Duration) -> Result<M, RpcError> {
        let call = Call { group: self.peers.group, kind, body, deadline };
        let answer = tokio::time::timeout(deadline, self.peers.transport.call(self.to, call)).await;
        let answer = answer.unwrap_or_else(|_late| Err(TransportError::Unknown(format!("no answer within {deadline:?}"))));
        wire::decode(&answer.map_err(rpc_error)?).map_err(|error| RPCError::Network(NetworkError::new(&error)))
    }

    async fn ask_vote(
        &self,
        kind: RaftCall,
        rpc: VoteRequest<Types>,
        deadline: Duration,
    ) -> Result<VoteResponse<Types>, RpcError> {
        let (ballot, last) = (wire::ballot(&rpc.vote), wire::at(rpc.last_log_id.as_ref()));
        let body = wire::encode(&AskVote { vote: Some(ballot), last, transfer: rpc.leadership_transfer });
        let voted: Voted = self.ask(kind, body, deadline).await?;
        Ok(VoteResponse::new(vote(voted.vote.as_ref())?, wire::position_of(voted.last), voted.granted))
    }
}

/// What kind of call an append is, and its body.
pub(super) fn append_body(rpc: AppendEntriesRequest<Types>, place: Option<Place>) -> (RaftCall, Bytes) {
    let empty = rpc.entries.is_empty();
    let (prev, commit) = (wire::at(rpc.prev_log_id.as_ref()), wire::at(rpc.leader_commit.as_ref()));
    let body = wire::encode(&Append { place, vote: Some(wire::ballot(&rpc.vote)), prev, commit, ..Append::new(rpc.entries) });
    let kind = match body.len() {
        _ if empty => RaftCall::Heartbeat,
        0..=SHARED_BODY_BYTES_MAX => RaftCall::Append,
        _ => RaftCall::AppendBulk,
    };
    (kind, body)
}

/// A node that cannot be reached is left alone for a while; everything else is tried again at once.
fn rpc_error(error: TransportError) -> RpcError {
    match error {
        TransportError::Unknown(_) => RPCError::Network(NetworkError::new(&error)),
        _ => RPCError::Unreachable(Unreachable::new(&error)),
    }
}

fn vote(ballot: Option<&wire::Ballot>) -> Result<Vote, RpcError> {
    wire::vote(ballot).map_err(|error| RPCError::Network(NetworkError::new(&error)))
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RpcError> {
        let (kind, body) = append_body(rpc, None);
        self.append(kind, body).await
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> futures::future::BoxFuture<'s, Result<Streamed<'s>, RpcError>>
    where
        S: futures::Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let answers = pipeline::run(self.clone(), input);
        Box::pin(std::future::ready(Ok(answers)))
    }

    async fn vote(&mut self, rpc: VoteRequest<Types>, option: RPCOption) -> Result<VoteResponse<Types>, RpcError> {
        self.ask_vote(RaftCall::Vote, rpc, option.soft_ttl()).await
    }

    async fn pre_vote(&mut self, rpc: VoteRequest<Types>, option: RPCOption) -> Result<VoteResponse<Types>, RpcError> {
        self.ask_vote(RaftCall::PreVote, rpc, option.soft_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<Types, Bytes>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let (ballot, last) = (wire::ballot(&vote), wire::at(snapshot.meta.last_log_id.as_ref()));
        let install = Install::new(&snapshot.meta.last_membership, snapshot.snapshot);
        let body = wire::encode(&Install { vote: Some(ballot), last, ..install });
        let asked = std::pin::pin!(self.ask::<Voted>(RaftCall::Snapshot, body, option.soft_ttl()));
        match futures::future::select(asked, std::pin::pin!(cancel)).await {
            futures::future::Either::Left((answer, _)) => Ok(SnapshotResponse::new(self::vote(answer?.vote.as_ref())?)),
            futures::future::Either::Right((closed, _)) => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<openraft::raft::TransferLeaderResponse<Types>, RpcError> {
        let (from, last) = (Some(wire::ballot(rpc.from_leader())), wire::at(rpc.last_log_id()));
        let body = wire::encode(&Transfer { from, to: *rpc.to_node_id(), last });
        let transferred: Transferred = self.ask(RaftCall::TransferLeader, body, option.soft_ttl()).await?;
        match transferred.refusal {
            none if none.is_empty() => Ok(Ok(())),
            refusal => Err(RPCError::Network(NetworkError::new(&AnyError::error(refusal)))),
        }
    }
}
