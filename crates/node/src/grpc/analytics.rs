//! `AnalyticsService`. A caller who hangs up drops the call, and with it the work.

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status};
use watershed_client::services::analytics_service_server::AnalyticsService;
use watershed_query::Engine;
use watershed_schema::proto;

use super::query::status;
use crate::clock::now_us;
use crate::refusal::Refusal;
use crate::{analytics, tenant};

pub(super) struct Analytics(pub(super) Engine);

#[tonic::async_trait]
impl AnalyticsService for Analytics {
    async fn track(&self, request: Request<proto::TrackRequest>) -> Result<Response<proto::TrackResponse>, Status> {
        let tenant = tenant::of(&request.metadata().clone().into_headers())?;
        let answer = Box::pin(self.0.track(&tenant, request.get_ref(), now_us()));
        answer.await.map(Response::new).map_err(status)
    }

    async fn funnel(&self, request: Request<proto::FunnelRequest>) -> Result<Response<proto::FunnelResponse>, Status> {
        let tenant = tenant::of(&request.metadata().clone().into_headers())?;
        let answer = Box::pin(self.0.funnel(&tenant, request.get_ref(), now_us()));
        answer.await.map(Response::new).map_err(status)
    }

    async fn cohort(&self, request: Request<proto::CohortRequest>) -> Result<Response<proto::CohortResponse>, Status> {
        let tenant = tenant::of(&request.metadata().clone().into_headers())?;
        let answer = Box::pin(self.0.cohort(&tenant, request.get_ref(), now_us()));
        answer.await.map(Response::new).map_err(status)
    }

    type AskStream = BoxStream<'static, Result<proto::AnalyticsResponse, Status>>;

    async fn ask(&self, request: Request<proto::AnalyticsRequest>) -> Result<Response<Self::AskStream>, Status> {
        let tenant = tenant::of(&request.metadata().clone().into_headers())?;
        let question = request.into_inner().question.ok_or_else(|| Refusal::Invalid("question is missing".to_owned()))?;
        let said = analytics::watched(&self.0, tenant, question);
        let response = |said| proto::AnalyticsResponse { said: Some(said) };
        Ok(Response::new(said.map(move |said| said.map(response).map_err(Status::from)).boxed()))
    }

    async fn ratio(&self, request: Request<proto::RatioRequest>) -> Result<Response<proto::RatioResponse>, Status> {
        let tenant = tenant::of(&request.metadata().clone().into_headers())?;
        let answer = Box::pin(self.0.ratio(&tenant, request.get_ref(), now_us()));
        answer.await.map(Response::new).map_err(status)
    }
}
