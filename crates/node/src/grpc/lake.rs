//! `LakeService`: what the lake refused, and once more.

use tonic::{Request, Response, Status};
use watershed_actors::Node;
use watershed_client::services::lake_service_server::LakeService;
use watershed_schema::proto;

use crate::refusal::Refusal;
use crate::tenant;

pub(super) struct Keeper(pub(super) Node);

#[tonic::async_trait]
impl LakeService for Keeper {
    async fn list_dead_letters(
        &self,
        _: Request<proto::ListDeadLettersRequest>,
    ) -> Result<Response<proto::ListDeadLettersResponse>, Status> {
        let letters = self.0.dead_letters().map_err(|error| Refusal::Internal(error.to_string()))?;
        Ok(Response::new(proto::ListDeadLettersResponse { letters }))
    }

    async fn replay_dead_letters(
        &self,
        request: Request<proto::ReplayDeadLettersRequest>,
    ) -> Result<Response<proto::ReplayDeadLettersResponse>, Status> {
        let replayed = self.0.replay_dead_letters(request.into_inner().names).await.map_err(Refusal::Unavailable)?;
        Ok(Response::new(proto::ReplayDeadLettersResponse { replayed }))
    }

    async fn maintain(&self, request: Request<proto::MaintainRequest>) -> Result<Response<proto::MaintainResponse>, Status> {
        let steps = self.0.maintain(request.into_inner().dry_run).await.map_err(Refusal::Unavailable)?;
        Ok(Response::new(proto::MaintainResponse { steps }))
    }

    async fn delete_rows(
        &self,
        request: Request<proto::DeleteRowsRequest>,
    ) -> Result<Response<proto::DeleteRowsResponse>, Status> {
        let tenant = tenant::of(&request.metadata().clone().into_headers())?;
        let actor = Some(request.into_inner().actor).filter(|actor| !actor.is_empty());
        let steps = self.0.delete(&tenant, actor).await.map_err(Refusal::Unavailable)?;
        Ok(Response::new(proto::DeleteRowsResponse { steps }))
    }
}
