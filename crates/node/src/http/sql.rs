//! `POST /v1/sql`: rows as they come. A caller who hangs up drops the work; an error behind the first row breaks the body off,
//! so that half an answer is never taken for a whole one.

mod write;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use futures::Stream;
use futures::stream::{self, StreamExt as _};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use watershed_query::{Param, QueryError, Rows};
use watershed_schema::TenantId;

use super::{Context, answer, body};
use crate::refusal::Refusal;
use crate::tenant;
use write::{Format, Writer};

/// Longest question, bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// One statement that reads the table `events`.
    sql: String,
    /// Values for `$1`, `$2`, …
    #[serde(default)]
    params: Vec<Value>,
    #[serde(default)]
    format: Format,
    /// 0 = the server's default.
    #[serde(default)]
    deadline_ms: u32,
}

pub(super) fn routes() -> Router<Context> {
    Router::new().route("/v1/sql", post(sql))
}

async fn sql(State(context): State<Context>, request: Request) -> Response {
    let rows = async {
        let (tenant, question) = read(request).await?;
        let rows = context.engine.sql_with(&tenant, (&question.sql, &params(&question.params)?), question.deadline()).await?;
        Ok::<_, Refusal>((Writer::new(question.format, &rows.schema)?, rows))
    };
    match rows.await {
        Ok((writer, rows)) => answer::respond(StatusCode::OK, writer.content_type(), Body::from_stream(pieces(writer, rows))),
        Err(refusal) => answer::refusal_json(&refusal),
    }
}

impl Question {
    fn deadline(&self) -> Option<Duration> {
        (self.deadline_ms > 0).then(|| Duration::from_millis(u64::from(self.deadline_ms)))
    }
}

async fn read(request: Request) -> Result<(TenantId, Question), Refusal> {
    let (parts, body) = request.into_parts();
    let tenant = tenant::of(&parts.headers)?;
    let body = body::plain(&parts.headers, body, BODY_BYTES_MAX).await?;
    Ok((tenant, serde_json::from_slice(&body).map_err(|error| Refusal::Invalid(format!("body: {error}")))?))
}

fn params(values: &[Value]) -> Result<Vec<Param>, Refusal> {
    let param = |(index, value): (usize, &Value)| match value {
        Value::Null => Ok(Param::Null),
        Value::Bool(value) => Ok(Param::Bool(*value)),
        Value::String(text) => Ok(Param::Text(text.clone())),
        Value::Number(number) => {
            let whole = number.as_i64().map(Param::Int);
            let wrong = || Refusal::Invalid(format!("params[{index}]: {number} is no number that fits"));
            whole.or_else(|| number.as_f64().map(Param::Float)).ok_or_else(wrong)
        }
        Value::Array(_) | Value::Object(_) => {
            Err(Refusal::Invalid(format!("params[{index}]: a text, a number, true, false or null is wanted")))
        }
    };
    values.iter().enumerate().map(param).collect()
}

fn pieces(writer: Writer, rows: Rows) -> impl Stream<Item = Result<Bytes, QueryError>> {
    stream::unfold(Some((writer, rows.batches)), |state| async move {
        let (mut writer, mut batches) = state?;
        match batches.next().await {
            Some(batch) => match batch.and_then(|batch| writer.batch(&batch)) {
                Ok(piece) => Some((Ok(piece), Some((writer, batches)))),
                Err(error) => {
                    tracing::warn!(%error, "a query ended behind its first rows");
                    Some((Err(error), None))
                }
            },
            None => Some((writer.end(), None)),
        }
    })
}
