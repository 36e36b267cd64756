//! `/v1/stream`: subscriptions for browsers and curl. WebSocket when the client asks for one, else server-sent events.

mod commands;
mod events;
mod said;
mod socket;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::UPGRADE;
use http::{HeaderMap, HeaderValue};
use tower_http::cors::{Any, CorsLayer};
use watershed_schema::TenantId;

use super::{Context, answer};
use crate::refusal::Refusal;
use crate::tenant;

/// Longest message of a client, bytes: as many patterns as a stream may have, each as long as one may be.
const COMMAND_BYTES_MAX: usize = 512 << 10;

pub(super) fn routes() -> Router<Context> {
    let any_origin = CorsLayer::new().allow_origin(Any).allow_headers(Any);
    Router::new().route("/v1/stream", get(stream)).layer(any_origin)
}

async fn stream(
    State(context): State<Context>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let query = commands::Query::parse(query.as_deref().unwrap_or_default());
    let opened = async { query.and_then(|query| Ok((owner(&headers, query.tenant.as_deref())?, query))) };
    match (opened.await, upgrade) {
        (Err(refusal), _) => answer::refusal_json(&refusal),
        (Ok((_, query)), Ok(_)) if query.is_live() => {
            let reason = "sql: over a WebSocket it stands in the message `subscribe`, not in the address";
            answer::refusal_json(&Refusal::Invalid(reason.to_owned()))
        }
        (Ok((tenant, _)), Ok(upgrade)) => {
            let streams = context.streams;
            upgrade.max_message_size(COMMAND_BYTES_MAX).on_upgrade(move |socket| socket::run(socket, streams, tenant))
        }
        (Ok(_), Err(rejection)) if headers.contains_key(UPGRADE) => rejection.into_response(),
        (Ok((tenant, query)), Err(_no_upgrade)) => events::respond(context.streams, tenant, query, &headers).await,
    }
}

/// A page can give neither a WebSocket nor an `EventSource` a header: it may name the tenant in the address.
fn owner(headers: &HeaderMap, named: Option<&str>) -> Result<TenantId, Refusal> {
    let Some(name) = named else { return tenant::of(headers) };
    let bad = |error: &dyn std::fmt::Display| Refusal::Invalid(format!("tenant: {error}"));
    let value = HeaderValue::from_str(name).map_err(|error| bad(&error))?;
    tenant::of(&HeaderMap::from_iter([(tenant::NAME, value)])).map_err(|error| bad(&error))
}
