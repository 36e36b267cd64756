//! Analytics as JSON: the messages of `analytics.proto`, fields by their names; who accepts server-sent events is told how far
//! the answer is. A caller who hangs up drops the work.

use std::convert::Infallible;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use futures::StreamExt as _;
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use watershed_schema::TenantId;

use super::{Context, answer, body};
use crate::analytics::{self, Question, Said};
use crate::refusal::Refusal;
use crate::tenant;

/// Longest question, bytes.
const BODY_BYTES_MAX: usize = 1 << 20;
const EVENTS: &str = "text/event-stream";

pub(super) fn routes() -> Router<Context> {
    let ask = |of: fn(&[u8]) -> serde_json::Result<Question>| {
        post(move |State(context): State<Context>, request: Request| asked(context, request, of))
    };
    Router::new()
        .route("/v1/analytics/track", ask(|text| question(text, Question::Track)))
        .route("/v1/analytics/funnel", ask(|text| question(text, Question::Funnel)))
        .route("/v1/analytics/cohort", ask(|text| question(text, Question::Cohort)))
        .route("/v1/analytics/ratio", ask(|text| question(text, Question::Ratio)))
}

fn question<Q: DeserializeOwned>(text: &[u8], of: impl FnOnce(Q) -> Question) -> serde_json::Result<Question> {
    serde_json::from_slice(text).map(of)
}

async fn asked(context: Context, request: Request, of: fn(&[u8]) -> serde_json::Result<Question>) -> Response {
    let is_watched = accepts_events(request.headers());
    match read(request, of).await {
        Err(refusal) => answer::refusal_json(&refusal),
        Ok((tenant, question)) if is_watched => {
            let said = analytics::watched(&context.engine, tenant, question);
            Sse::new(said.map(|said| Ok::<_, Infallible>(event(said.as_ref())))).into_response()
        }
        Ok((tenant, question)) => {
            let answered = analytics::answered(&context.engine, &tenant, &question).await;
            match answered.and_then(|said| spelled(&said)) {
                Ok(answer) => answer::json(StatusCode::OK, &answer),
                Err(refusal) => answer::refusal_json(&refusal),
            }
        }
    }
}

fn accepts_events(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|kinds| kinds.contains(EVENTS))
}

async fn read(request: Request, of: fn(&[u8]) -> serde_json::Result<Question>) -> Result<(TenantId, Question), Refusal> {
    let (parts, body) = request.into_parts();
    let tenant = tenant::of(&parts.headers)?;
    let body = body::plain(&parts.headers, body, BODY_BYTES_MAX).await?;
    let question = of(&body).map_err(|error| Refusal::Invalid(format!("body: {error}")))?;
    Ok((tenant, question))
}

fn event(said: Result<&Said, &Refusal>) -> Event {
    let spelled = said.map_err(Clone::clone).and_then(|said| Ok((word(said), spelled(said)?)));
    let (word, data) =
        spelled.unwrap_or_else(|refusal| ("error", json!({ "code": refusal.code() as i32, "message": refusal.to_string() })));
    Event::default().event(word).data(data.to_string())
}

fn word(said: &Said) -> &'static str {
    if matches!(said, Said::Progress(_)) { "progress" } else { "answer" }
}

fn spelled(said: &Said) -> Result<Value, Refusal> {
    fn of(message: &impl Serialize) -> Result<Value, Refusal> {
        serde_json::to_value(message).map_err(|error| Refusal::Internal(error.to_string()))
    }
    match said {
        Said::Progress(progress) => of(progress),
        Said::Track(answer) => of(answer),
        Said::Funnel(answer) => of(answer),
        Said::Cohort(answer) => of(answer),
        Said::Ratio(answer) => of(answer),
    }
}
