//! The cluster: what it is made of, and what people have it do.

use watershed_schema::proto::{DescribeClusterRequest, DescribeClusterResponse, NodeRequest, TransferLeaderRequest};

use crate::Error;
use crate::client::Service;
use crate::services::cluster_service_client::ClusterServiceClient;

/// Of [`crate::Client::cluster`]; any node answers for the cluster.
#[derive(Clone, Debug)]
pub struct ClusterAdmin {
    service: ClusterServiceClient<Service>,
}

impl ClusterAdmin {
    pub(crate) fn new(service: ClusterServiceClient<Service>) -> Self {
        Self { service }
    }

    /// Nodes, replicas, and what the controller does next.
    ///
    /// # Errors
    /// [`Error::Status`].
    pub async fn describe(&self) -> Result<DescribeClusterResponse, Error> {
        Ok(self.service.clone().describe(DescribeClusterRequest {}).await?.into_inner())
    }

    /// Has a node give its replicas away; it can be ended when it holds none.
    ///
    /// # Errors
    /// [`Error::Status`]: the node is not known, or the control group has no leader.
    pub async fn drain(&self, node: u64) -> Result<(), Error> {
        self.service.clone().drain(NodeRequest { node }).await?;
        Ok(())
    }

    /// Has a node that drains take replicas again.
    ///
    /// # Errors
    /// As [`Self::drain`].
    pub async fn resume(&self, node: u64) -> Result<(), Error> {
        self.service.clone().resume(NodeRequest { node }).await?;
        Ok(())
    }

    /// Gives a node up for good: its replicas are made anew elsewhere, its number is not used again.
    ///
    /// # Errors
    /// As [`Self::drain`]; and when the node answers and holds replicas.
    pub async fn remove(&self, node: u64) -> Result<(), Error> {
        self.service.clone().remove(NodeRequest { node }).await?;
        Ok(())
    }

    /// Hands the leadership of a shard to one of its voters.
    ///
    /// # Errors
    /// [`Error::Status`]: the shard is not known, or the node does not take over.
    pub async fn transfer_leader(&self, shard: u32, to: u64) -> Result<(), Error> {
        self.service.clone().transfer_leader(TransferLeaderRequest { shard, to }).await?;
        Ok(())
    }
}
