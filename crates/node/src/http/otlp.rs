//! OTLP/HTTP: three paths, protobuf or JSON.
//!
//! Rules: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>. Errors carry a `google.rpc.Status`.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use prost::Message as _;
use watershed_schema::limits::MESSAGE_BYTES_MAX;
use watershed_sources::otlp::Signal;

use super::answer::{self, JSON};
use super::{Context, body};
use crate::ingest::{self, Accepted, Encoding};
use crate::{admission, refusal::Refusal, tenant};

const PROTOBUF: &str = "application/x-protobuf";

pub(super) fn routes() -> Router<Context> {
    let path = |signal| post(move |State(context), request| export(context, signal, request));
    Router::new()
        .route("/v1/traces", path(Signal::Traces))
        .route("/v1/metrics", path(Signal::Metrics))
        .route("/v1/logs", path(Signal::Logs))
}

async fn export(context: Context, signal: Signal, request: Request) -> Response {
    let Some(encoding) = encoding_of(request.headers()) else {
        let refusal = Refusal::Invalid(format!("header content-type: must be {PROTOBUF} or {JSON}"));
        ingest::refused(ingest::word(signal), &refusal);
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, refusal.to_string()).into_response();
    };
    match take(&context, (signal, encoding), request).await {
        Ok(accepted) => answer((signal, encoding), &accepted),
        Err(refusal) => refuse(encoding, &refusal),
    }
}

fn encoding_of(headers: &HeaderMap) -> Option<Encoding> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    match kind.split(';').next()?.trim() {
        PROTOBUF => Some(Encoding::Protobuf),
        JSON => Some(Encoding::Json),
        _ => None,
    }
}

/// Admission by the declared length comes first, so that a flood is refused before it is read; what is unfolded then counts
/// as it is.
async fn take(context: &Context, (signal, encoding): (Signal, Encoding), request: Request) -> Result<Accepted, Refusal> {
    let counted = |refusal: Refusal| {
        ingest::refused(ingest::word(signal), &refusal);
        refusal
    };
    let (parts, body) = request.into_parts();
    let tenant = tenant::of(&parts.headers).map_err(counted)?;
    let declared = body::declared(&parts.headers).unwrap_or(MESSAGE_BYTES_MAX);
    let mut permit = admission::admit(&context.intake, &context.drain, &tenant, declared).map_err(counted)?;
    let plain = body::plain(&parts.headers, body, MESSAGE_BYTES_MAX).await.map_err(counted)?;
    permit.grow_to(plain.len()).map_err(|busy| counted(busy.into()))?;
    context.intake.otlp((signal, encoding), plain, tenant, permit).await
}

fn answer((signal, encoding): (Signal, Encoding), accepted: &Accepted) -> Response {
    let (response, rejected) = (ingest::response(accepted), rejected_field(signal));
    match encoding {
        Encoding::Protobuf => answer::respond(StatusCode::OK, PROTOBUF, response.encode_to_vec()),
        Encoding::Json => {
            let partial = response.partial_success.map(|partial| {
                serde_json::json!({ "errorMessage": partial.error_message, rejected: partial.rejected_spans.to_string() })
            });
            let json = partial.map_or_else(|| serde_json::json!({}), |partial| serde_json::json!({ "partialSuccess": partial }));
            answer::json(StatusCode::OK, &json)
        }
    }
}

/// In protobuf the three have one number, in JSON three names.
fn rejected_field(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Logs => "rejectedLogRecords",
    }
}

fn refuse(encoding: Encoding, refusal: &Refusal) -> Response {
    match encoding {
        Encoding::Protobuf => {
            let (code, message) = (refusal.code() as i32, refusal.to_string());
            let status = tonic_types::Status { code, message, details: Vec::new() };
            answer::refusal(refusal, PROTOBUF, status.encode_to_vec())
        }
        Encoding::Json => answer::refusal_json(refusal),
    }
}
