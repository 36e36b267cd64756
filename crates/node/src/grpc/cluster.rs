//! `ClusterService`: what the cluster is made of, and what people have it do.

use tonic::{Request, Response, Status};
use watershed_actors::{Node, Operator};
use watershed_client::services::cluster_service_server::ClusterService;
use watershed_schema::proto::{
    ClusterResponse, DescribeClusterRequest, DescribeClusterResponse, NodeRequest, NodeState, NodeStatus, TransferLeaderRequest,
};
use watershed_schema::{GroupId, NodeId, ShardId};

use crate::refusal::Refusal;

pub(super) struct Cluster(pub(super) Node);

#[tonic::async_trait]
impl ClusterService for Cluster {
    async fn describe(&self, _: Request<DescribeClusterRequest>) -> Result<Response<DescribeClusterResponse>, Status> {
        let operator = self.0.operator();
        let replicas = operator.replicas().await;
        let response = DescribeClusterResponse {
            cluster_id: self.0.cluster().cluster_id.clone(),
            nodes: operator.nodes(),
            next_step: operator.next_step(&replicas).unwrap_or_default(),
            replicas,
        };
        Ok(Response::new(response))
    }

    async fn drain(&self, request: Request<NodeRequest>) -> Result<Response<ClusterResponse>, Status> {
        self.set_state(request, NodeState::Draining).await
    }

    async fn resume(&self, request: Request<NodeRequest>) -> Result<Response<ClusterResponse>, Status> {
        self.set_state(request, NodeState::Active).await
    }

    async fn remove(&self, request: Request<NodeRequest>) -> Result<Response<ClusterResponse>, Status> {
        let node = NodeId(request.get_ref().node);
        let holds = |known: &NodeStatus| known.shards > 0 || known.votes_in_control;
        if self.operator().nodes().iter().any(|known| known.node == node.0 && known.reachable && holds(known)) {
            return Err(Refusal::Invalid(format!("node: {node} answers and holds replicas: drain it first")).into());
        }
        self.set_state(request, NodeState::Removed).await
    }

    async fn transfer_leader(&self, request: Request<TransferLeaderRequest>) -> Result<Response<ClusterResponse>, Status> {
        let TransferLeaderRequest { shard, to } = request.into_inner();
        let known = |shard: &u16| usize::from(*shard) < self.0.shards().len();
        let id = u16::try_from(shard).ok().filter(known);
        let id = id.ok_or_else(|| Refusal::Invalid(format!("shard: {shard}, must be below {}", self.0.shards().len())))?;
        let done = self.operator().transfer(GroupId::of_shard(ShardId(id)), NodeId(to)).await;
        done.map_err(Refusal::Unavailable)?;
        Ok(Response::new(ClusterResponse {}))
    }
}

impl Cluster {
    fn operator(&self) -> &Operator {
        self.0.operator()
    }

    async fn set_state(&self, request: Request<NodeRequest>, state: NodeState) -> Result<Response<ClusterResponse>, Status> {
        let node = NodeId(request.into_inner().node);
        if !self.0.cluster().nodes.contains_key(&node) {
            return Err(Refusal::Invalid(format!("node: {node} is not known")).into());
        }
        self.operator().set_state(node, state).await.map_err(Refusal::Unavailable)?;
        Ok(Response::new(ClusterResponse {}))
    }
}
