//! What a stream says, events or rows of a live query, as JSON: the same over a WebSocket and as server-sent events.

use std::future::ready;

use arrow::error::ArrowError;
use arrow::json::ArrayWriter;
use futures::future::Either;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use watershed_schema::TenantId;
use watershed_schema::payload::quote;
use watershed_schema::proto::SubscribeRequest;

use crate::refusal::Refusal;
use crate::subscribe::{LiveAsked, LiveTold, Message, Streams, token_text};

pub(super) enum Said {
    Events(Message),
    /// A live query is set up; with the token of its start.
    Begun(Vec<u8>),
    /// Rows of windows that closed.
    Rows(LiveTold),
}

/// Opens what is asked for.
pub(super) async fn open(
    streams: &Streams,
    tenant: TenantId,
    asked: Either<LiveAsked, SubscribeRequest>,
) -> Result<BoxStream<'static, Result<Said, Refusal>>, Refusal> {
    match asked {
        Either::Right(request) => {
            let stream = streams.open(tenant, request).await?;
            Ok(stream.messages(streams.drain.clone()).map_ok(Said::Events).boxed())
        }
        Either::Left(asked) => {
            let mut live = streams.live(tenant, asked).await?;
            let begun = Said::Begun(live.token());
            let rows = live.told(streams.drain.clone()).map_ok(Said::Rows);
            Ok(stream::once(ready(Ok(begun))).chain(rows).boxed())
        }
    }
}

impl Said {
    /// One word for what is said.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Events(message) => message.word(),
            Self::Begun(_) => "subscribed",
            Self::Rows(_) => "rows",
        }
    }

    /// Resumes behind it.
    pub(super) fn token(&self) -> &[u8] {
        match self {
            Self::Events(message) => &message.token,
            Self::Begun(token) => token,
            Self::Rows(told) => &told.token,
        }
    }

    /// An object of `type`, what is said, `token`, and `id` where there is one.
    pub(super) fn to_json(&self, id: Option<&str>) -> Result<String, Refusal> {
        let said = match self {
            Self::Events(message) => return message.to_json(id),
            Self::Begun(_) => String::new(),
            Self::Rows(told) => rows(told)?,
        };
        let (word, token, mut name) = (self.word(), token_text(self.token()), String::new());
        if let Some(id) = id {
            name.push_str("\"id\":");
            quote(id, &mut name);
            name.push(',');
        }
        Ok(format!("{{\"type\":\"{word}\",{name}{said}\"token\":\"{token}\"}}"))
    }
}

fn rows(LiveTold { rows, late, lost, .. }: &LiveTold) -> Result<String, Refusal> {
    let internal = |error: ArrowError| Refusal::Internal(error.to_string());
    let mut array = ArrayWriter::new(Vec::new());
    rows.iter().try_for_each(|window| array.write(window)).and_then(|()| array.finish()).map_err(internal)?;
    let array = String::from_utf8_lossy(&array.into_inner()).into_owned();
    let array = if array.is_empty() { "[]" } else { &array };
    Ok(format!("\"rows\":{array},\"late\":{late},\"lost\":{lost},"))
}
