//! Analytics as JSON: the messages of `analytics.proto`, fields by their names. A caller who hangs up drops the work.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use watershed_query::QueryError;
use watershed_schema::TenantId;

use super::{Context, answer, body};
use crate::clock::now_us;
use crate::refusal::Refusal;
use crate::tenant;

/// Longest question, bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

pub(super) fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/analytics/track", post(track))
        .route("/v1/analytics/funnel", post(funnel))
        .route("/v1/analytics/cohort", post(cohort))
        .route("/v1/analytics/ratio", post(ratio))
}

async fn track(State(context): State<Context>, request: Request) -> Response {
    let asked = async |tenant: TenantId, track| said(Box::pin(context.engine.track(&tenant, &track, now_us())).await);
    answered(request, asked).await
}

async fn funnel(State(context): State<Context>, request: Request) -> Response {
    let asked = async |tenant: TenantId, funnel| said(Box::pin(context.engine.funnel(&tenant, &funnel, now_us())).await);
    answered(request, asked).await
}

async fn cohort(State(context): State<Context>, request: Request) -> Response {
    let asked = async |tenant: TenantId, cohort| said(Box::pin(context.engine.cohort(&tenant, &cohort, now_us())).await);
    answered(request, asked).await
}

async fn ratio(State(context): State<Context>, request: Request) -> Response {
    let asked = async |tenant: TenantId, ratio| said(Box::pin(context.engine.ratio(&tenant, &ratio, now_us())).await);
    answered(request, asked).await
}

fn said(answer: Result<impl Serialize, QueryError>) -> Result<Value, Refusal> {
    serde_json::to_value(answer?).map_err(|error| Refusal::Internal(error.to_string()))
}

async fn answered<Q, F>(request: Request, ask: F) -> Response
where
    Q: DeserializeOwned,
    F: AsyncFnOnce(TenantId, Q) -> Result<Value, Refusal>,
{
    let served = async {
        let (tenant, question) = read(request).await?;
        ask(tenant, question).await
    };
    match served.await {
        Ok(answer) => answer::json(StatusCode::OK, &answer),
        Err(refusal) => answer::refusal_json(&refusal),
    }
}

async fn read<Q: DeserializeOwned>(request: Request) -> Result<(TenantId, Q), Refusal> {
    let (parts, body) = request.into_parts();
    let tenant = tenant::of(&parts.headers)?;
    let body = body::plain(&parts.headers, body, BODY_BYTES_MAX).await?;
    let question = serde_json::from_slice(&body).map_err(|error| Refusal::Invalid(format!("body: {error}")))?;
    Ok((tenant, question))
}
