//! Answers of the HTTP face.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use crate::refusal::{Refusal, Spent};

pub(super) const JSON: &str = "application/json";

pub(super) fn respond(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    respond(status, JSON, body.to_string())
}

/// A refusal with a body of any kind; the wait, if there is one, in whole seconds.
pub(super) fn refusal(refusal: &Refusal, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = respond(refusal.http(), kind, body);
    let Some(wait) = refusal.retry_after() else { return response };
    let seconds = wait.as_secs_f64().ceil().max(1.0);
    let value = |text: String| HeaderValue::from_str(&text).expect("invariant: digits and our own words");
    response.headers_mut().insert(RETRY_AFTER, value(format!("{seconds:.0}")));
    // draft-ietf-httpapi-ratelimit-headers: what the limit is, and how much of it is left for how long.
    if let Refusal::Limited { spent: Spent { what, quota, window }, .. } = refusal {
        response.headers_mut().insert(POLICY, value(format!("\"{what}\";q={quota};w={:.0}", window.as_secs_f64().ceil())));
        response.headers_mut().insert(LIMIT, value(format!("\"{what}\";r=0;t={seconds:.0}")));
    }
    response
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// A refusal as the JSON of a `google.rpc.Status`.
pub(super) fn refusal_json(refused: &Refusal) -> Response {
    let status = serde_json::json!({ "code": refused.code() as i32, "message": refused.to_string() });
    refusal(refused, JSON, status.to_string())
}
