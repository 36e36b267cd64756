//! The node's door for changes: `POST /v1/cdc`.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use crate::{PumpError, Settings};

/// An answer is counts and a few reasons.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

pub(crate) struct Node {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
    answer_timeout: Duration,
}

/// How the node answers a request that it took.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    pub(crate) rejected: u64,
    #[serde(default)]
    rejects: Vec<Reject>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Reject {
    record: u64,
    field: String,
    reason: String,
}

impl Answer {
    /// The first reasons in one line.
    pub(crate) fn reasons(&self) -> String {
        let told = self.rejects.iter().map(|reject| format!("change {}: {}: {}", reject.record, reject.field, reject.reason));
        told.collect::<Vec<_>>().join("; ")
    }
}

impl Node {
    pub(crate) fn new(settings: &Settings) -> Result<Self, PumpError> {
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            uri: endpoint(&settings.to)?,
            headers: headers(&settings.headers)?,
            answer_timeout: settings.answer_timeout,
        })
    }

    /// Sends one request and reads its answer.
    pub(crate) async fn post(&self, body: Bytes) -> Result<Answer, PumpError> {
        let answered = tokio::time::timeout(self.answer_timeout, self.exchange(body)).await;
        answered.unwrap_or_else(|_elapsed| Err(away(format!("no answer within {:?}", self.answer_timeout))))
    }

    async fn exchange(&self, body: Bytes) -> Result<Answer, PumpError> {
        let mut request = Request::post(self.uri.clone()).body(Full::new(body)).map_err(|error| away(error.to_string()))?;
        *request.headers_mut() = self.headers.clone();
        let response = self.client.request(request).await.map_err(|error| away(chain(&error)))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| away(error.to_string()))?;
        answer(parts.status, &parts.headers, &body.to_bytes())
    }
}

fn endpoint(to: &str) -> Result<Uri, PumpError> {
    let wrong = |reason: String| PumpError::setting("to", reason);
    let uri: Uri = format!("{}/v1/cdc", to.trim_end_matches('/'))
        .parse()
        .map_err(|error| wrong(format!("must be http://host:port: {error}")))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(_)) => Ok(uri),
        (Some("https"), _) => Err(wrong("the pump has no TLS: use http:// or a tunnel".to_owned())),
        _ => Err(wrong(format!("must be http://host:port, is {to}"))),
    }
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, PumpError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    for (name, value) in given {
        // The value may be a secret: it is not shown.
        let wrong = |what: String| PumpError::setting("headers", format!("{name}: {what}"));
        let key: HeaderName = name.parse().map_err(|error| wrong(format!("{error}")))?;
        let mut value = HeaderValue::from_str(value).map_err(|error| wrong(error.to_string()))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

fn away(reason: String) -> PumpError {
    PumpError::NodeAway { reason, retry_after: None }
}

/// An error and what caused it: the outermost says little.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A success must be an answer of ours: a proxy's page is no acknowledgement.
fn answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Answer, PumpError> {
    #[derive(Deserialize)]
    struct Accepted {
        #[serde(rename = "accepted")]
        _accepted: u64,
    }
    let is_ours = serde_json::from_slice::<Accepted>(body).is_ok();
    if status == StatusCode::OK && is_ours {
        return serde_json::from_slice(body).map_err(|error| away(format!("its answer: {error}")));
    }
    let reason = String::from_utf8_lossy(body).chars().take(300).collect::<String>();
    if status.is_success() {
        return Err(PumpError::NodeRefuses { status: status.as_u16(), reason: format!("this is no node's answer: {reason}") });
    }
    if status.is_server_error() || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status) {
        return Err(PumpError::NodeAway { reason: format!("{status}: {reason}"), retry_after: retry_after(headers) });
    }
    Err(PumpError::NodeRefuses { status: status.as_u16(), reason })
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Result<Answer, PumpError> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        answer(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    #[test]
    fn only_a_nodes_answer_acknowledges() {
        assert_eq!(answered(200, r#"{"accepted":3,"rejected":0,"rejects":[]}"#).unwrap(), Answer::default());
        let partly = r#"{"accepted":2,"rejected":1,"rejects":[{"record":1,"field":"table","reason":"is missing"}]}"#;
        assert_eq!(answered(200, partly).unwrap().reasons(), "change 1: table: is missing");
        for (status, body) in [(200, "<html>"), (204, ""), (200, "{}"), (302, ""), (400, "bad"), (401, ""), (404, ""), (413, "")]
        {
            let error = answered(status, body).unwrap_err();
            assert!(matches!(error, PumpError::NodeRefuses { .. }) && !error.is_retryable(), "{status} {body}: {error}");
        }
        for status in [429, 408, 500, 502, 503, 504] {
            let error = answered(status, "later").unwrap_err();
            let PumpError::NodeAway { retry_after, .. } = &error else { panic!("{status}: {error}") };
            assert_eq!((*retry_after, error.is_retryable()), (Some(Duration::from_secs(7)), true));
        }
    }

    #[test]
    fn where_to_is_checked() {
        assert_eq!(endpoint("http://127.0.0.1:4318/").unwrap(), "http://127.0.0.1:4318/v1/cdc");
        for (to, reason) in [("https://n", "no TLS"), ("n:4318", "must be http://"), ("", "must be http://")] {
            assert!(endpoint(to).unwrap_err().to_string().contains(reason), "{to}");
        }
        let secret = headers(&[("a b".into(), "secret".into())]).unwrap_err().to_string();
        assert!(secret.contains("a b") && !secret.contains("secret"), "{secret}");
    }
}
