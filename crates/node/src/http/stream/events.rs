//! Server-sent events: a message is an event whose `id` is the token behind it, so a browser resumes by itself.

use std::convert::Infallible;
use std::time::Duration;

use arrow::error::ArrowError;
use arrow::json::ArrayWriter;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::future::Either;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use http::HeaderMap;
use watershed_schema::TenantId;

use super::commands::Query;
use crate::http::answer;
use crate::refusal::Refusal;
use crate::subscribe::{LiveTold, Message, Streams};

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
    match query.into_asked()? {
        Either::Right(request) => {
            let stream = streams.open(tenant, request).await?;
            Ok(said(stream.messages(streams.drain), |message| event(&message)))
        }
        Either::Left(asked) => {
            let live = streams.live(tenant, asked).await?;
            Ok(said(live.told(streams.drain), |told| rows(&told)))
        }
    }
}

/// Each as an event; a refusal is the last.
fn said<T: 'static>(
    told: impl Stream<Item = Result<T, Refusal>> + Send + 'static,
    spell: impl Fn(T) -> Result<Event, Refusal> + Send + 'static,
) -> BoxStream<'static, Event> {
    told.map(move |told| told.and_then(&spell).unwrap_or_else(|refusal| ended(&refusal))).boxed()
}

/// Rows of windows that closed. Without an id: a client that comes back begins anew.
fn rows(told: &LiveTold) -> Result<Event, Refusal> {
    let internal = |error: ArrowError| Refusal::Internal(error.to_string());
    let mut rows = ArrayWriter::new(Vec::new());
    told.rows.iter().try_for_each(|window| rows.write(window)).and_then(|()| rows.finish()).map_err(internal)?;
    let rows = String::from_utf8_lossy(&rows.into_inner()).into_owned();
    let rows = if rows.is_empty() { "[]" } else { &rows };
    let LiveTold { late, lost, .. } = told;
    let data = format!("{{\"type\":\"rows\",\"rows\":{rows},\"late\":{late},\"lost\":{lost}}}");
    Ok(Event::default().event("rows").data(data))
}

fn event(message: &Message) -> Result<Event, Refusal> {
    Ok(Event::default().event(message.word()).id(message.token_text()).data(message.to_json(None)?))
}

/// The last one: the client comes back with the token that it has.
fn ended(refusal: &Refusal) -> Event {
    let data = serde_json::json!({ "type": "error", "code": refusal.word(), "message": refusal.to_string() });
    Event::default().event("error").data(data.to_string())
}
