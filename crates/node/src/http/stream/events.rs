//! Server-sent events: a message is an event whose `id` is the token behind it, so a browser resumes by itself.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::HeaderMap;
use watershed_schema::TenantId;

use super::commands::Query;
use super::said::{self, Said};
use crate::http::answer;
use crate::refusal::Refusal;
use crate::subscribe::{Streams, token_text};

const LAST_EVENT_ID: &str = "last-event-id";
/// Proxies end what is silent for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

pub(super) async fn respond(streams: Streams, tenant: TenantId, query: Query, headers: &HeaderMap) -> Response {
    match open(streams, tenant, query, headers).await.map(|events| events.map(Ok::<_, Infallible>)) {
        Ok(events) => Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response(),
        Err(refusal) => answer::refusal_json(&refusal),
    }
}

async fn open(
    streams: Streams,
    tenant: TenantId,
    mut query: Query,
    headers: &HeaderMap,
) -> Result<BoxStream<'static, Event>, Refusal> {
    if let Some(last) = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()).filter(|last| !last.is_empty()) {
        query.resume(last);
    }
    let said = said::open(&streams, tenant, query.subscribe.into_request()?).await?;
    Ok(said.map(|said| said.and_then(|said| event(&said)).unwrap_or_else(|refusal| ended(&refusal))).boxed())
}

fn event(said: &Said) -> Result<Event, Refusal> {
    Ok(Event::default().event(said.word()).id(token_text(said.token())).data(said.to_json(None)?))
}

/// The last one: the client comes back with the token that it has.
fn ended(refusal: &Refusal) -> Event {
    let data = serde_json::json!({ "type": "error", "code": refusal.word(), "message": refusal.to_string() });
    Event::default().event("error").data(data.to_string())
}
