//! The network of a group whose only voter is this node: nobody can be reached.

use std::future::Future;

use openraft::AnyError;
use openraft::error::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::type_config::alias::{SnapshotOf, VoteOf};
use openraft::{EmptyNode, OptionalSend, RaftNetworkFactory, RaftNetworkV2};

use super::types::Types;

pub(crate) struct NoPeers;

fn unreachable() -> Unreachable<Types> {
    Unreachable::new(&AnyError::error("this node has no peers"))
}

impl RaftNetworkFactory<Types> for NoPeers {
    type Network = Self;

    async fn new_client(&mut self, _target: u64, _node: &EmptyNode) -> Self {
        Self
    }
}

impl RaftNetworkV2<Types> for NoPeers {
    type SnapshotData = bytes::Bytes;

    async fn append_entries(
        &mut self,
        _rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        Err(RPCError::Unreachable(unreachable()))
    }

    async fn vote(&mut self, _rpc: VoteRequest<Types>, _option: RPCOption) -> Result<VoteResponse<Types>, RPCError<Types>> {
        Err(RPCError::Unreachable(unreachable()))
    }

    async fn full_snapshot(
        &mut self,
        _vote: VoteOf<Types>,
        _snapshot: SnapshotOf<Types, bytes::Bytes>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Err(StreamingError::Unreachable(unreachable()))
    }
}
