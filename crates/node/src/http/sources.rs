//! Every JSON source of the registry under its paths. Whether a body is what it should be shows when it is read: what
//! browsers send as `text/plain` is JSON, too.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use watershed_sources::registry::{self, Endpoint, Face, Source};
use watershed_sources::snippet;

use super::{Context, answer, body};
use crate::ingest::{self, Counts};
use crate::{admission, refusal::Refusal, tenant};

pub(super) fn routes() -> Router<Context> {
    let script = Router::new().route("/snippet.js", get(script));
    registry::ALL.iter().filter(|source| source.face != Face::Otlp).map(routes_of).fold(script, Router::merge)
}

/// For pages of any origin; an hour is how long a fixed one takes to be everywhere.
async fn script() -> Response {
    let mut response = answer::respond(StatusCode::OK, "text/javascript; charset=utf-8", snippet::SCRIPT);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

fn routes_of(source: &'static Source) -> Router<Context> {
    let path = |endpoint| post(move |State(context), request| receive(context, source, endpoint, request));
    let routes = source.endpoints.iter().fold(Router::new(), |routes, endpoint| routes.route(endpoint.path, path(endpoint)));
    if source.face.is_open_to_browsers() { routes.layer(any_origin()) } else { routes }
}

/// `sendBeacon` sends with credentials, to which `*` is no answer; there are none that we would look at.
fn any_origin() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .allow_methods([Method::POST])
        .allow_credentials(true)
}

async fn receive(context: Context, source: &'static Source, endpoint: &'static Endpoint, request: Request) -> Response {
    match take(&context, source, endpoint, request).await {
        Ok(counts) => answer::json(StatusCode::OK, &said(source.face, &counts)),
        Err(refusal) if source.face == Face::Segment => {
            let body = json!({ "success": false, "message": refusal.to_string() });
            answer::refusal(&refusal, answer::JSON, body.to_string())
        }
        Err(refusal) => answer::refusal_json(&refusal),
    }
}

/// Admission by the declared length comes first, so that a flood is refused before it is read; what is unfolded then counts
/// as it is.
async fn take(
    context: &Context,
    source: &'static Source,
    endpoint: &'static Endpoint,
    request: Request,
) -> Result<Counts, Refusal> {
    let counted = |refusal: Refusal| {
        ingest::refused(source.name, &refusal);
        refusal
    };
    let (parts, body) = request.into_parts();
    let tenant = tenant::of(&parts.headers).map_err(counted)?;
    let declared = body::declared(&parts.headers).unwrap_or(endpoint.bytes_max);
    let mut permit = admission::admit(&context.intake, &context.drain, &tenant, declared).map_err(counted)?;
    let plain = body::plain(&parts.headers, body, endpoint.bytes_max).await.map_err(counted)?;
    permit.grow_to(plain.len()).map_err(|busy| counted(busy.into()))?;
    context.intake.source((source, endpoint), plain, tenant, permit).await
}

/// Segment's libraries look for `success`; for the rest it is how many are durable, and what was not taken.
fn said(face: Face, counts: &Counts) -> Value {
    let told = counts.rejects.first.iter();
    let rejects: Vec<_> =
        told.map(|reject| json!({ "record": reject.index, "field": reject.field, "reason": reject.reason })).collect();
    let mut said = json!({ "accepted": counts.accepted, "rejected": counts.rejects.count, "rejects": rejects });
    if face == Face::Segment {
        said["success"] = Value::Bool(true);
    }
    said
}
