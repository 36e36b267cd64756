//! `LakeService`: what is in the lake, what it refused, and once more.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use watershed_actors::Node;
use watershed_client::services::lake_service_server::LakeService;
use watershed_lake::Lake;
use watershed_schema::proto;

use super::{lake_contents as contents, letters};
use crate::refusal::Refusal;
use crate::tenant;

pub(super) struct Keeper(pub(super) Node, pub(super) Option<Arc<Lake>>);

#[tonic::async_trait]
impl LakeService for Keeper {
    async fn list_dead_letters(
        &self,
        _: Request<proto::ListDeadLettersRequest>,
    ) -> Result<Response<proto::ListDeadLettersResponse>, Status> {
        Ok(Response::new(letters::list(&self.0).await?))
    }

    async fn get_dead_letter(
        &self,
        request: Request<proto::GetDeadLetterRequest>,
    ) -> Result<Response<proto::GetDeadLetterResponse>, Status> {
        Ok(Response::new(letters::get(&self.0, request.into_inner()).await?))
    }

    async fn purge_dead_letters(
        &self,
        request: Request<proto::PurgeDeadLettersRequest>,
    ) -> Result<Response<proto::PurgeDeadLettersResponse>, Status> {
        Ok(Response::new(letters::purge(&self.0, request.into_inner().names).await?))
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

    async fn list_snapshots(
        &self,
        request: Request<proto::ListSnapshotsRequest>,
    ) -> Result<Response<proto::ListSnapshotsResponse>, Status> {
        Ok(Response::new(contents::snapshots(self.1.as_deref(), &request.into_inner()).await?))
    }

    async fn list_files(&self, request: Request<proto::ListFilesRequest>) -> Result<Response<proto::ListFilesResponse>, Status> {
        Ok(Response::new(contents::files(self.1.as_deref(), request.into_inner()).await?))
    }

    async fn describe_lake(
        &self,
        request: Request<proto::DescribeLakeRequest>,
    ) -> Result<Response<proto::DescribeLakeResponse>, Status> {
        Ok(Response::new(contents::partitions(self.1.as_deref(), &request.into_inner()).await?))
    }
}
