//! What clients ask of a stream: commands over a WebSocket, a query in an address.

use std::time::Duration;

use futures::future::Either;
use serde::Deserialize;
use watershed_client::Start;
use watershed_schema::proto;

use crate::refusal::Refusal;
use crate::subscribe::LiveAsked;

/// Length of a live query's windows, and how long they wait for late events, unless it says so.
const EVERY_DEFAULT: Duration = Duration::from_secs(1);
const LATENESS_DEFAULT: Duration = Duration::from_secs(5);

/// A message of a WebSocket client.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Command {
    Subscribe(Box<Subscribe>),
    Unsubscribe {
        id: String,
    },
    /// Everything up to this token has been dealt with.
    Ack {
        token: String,
    },
    Ping,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Subscribe {
    /// Its name in what the server says; without one it gets a number.
    pub(super) id: Option<String>,
    topics: Vec<String>,
    filter: Predicates,
    /// `now` (default), `earliest`, a time, or a token.
    from: String,
    on_lag: Lag,
    /// Whether the client acknowledges: then no more than a window of bytes is on its way.
    pub(super) acks: bool,
    /// A live query: rows of its windows instead of events.
    sql: Option<String>,
    /// Length of its windows, and how long they wait for events that come late.
    every: Option<String>,
    lateness: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Predicates {
    event_types: Vec<String>,
    service_names: Vec<String>,
    trace_ids: Vec<String>,
    session_ids: Vec<String>,
    /// What stands behind SQL's `WHERE`.
    #[serde(rename = "where")]
    condition: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Lag {
    #[default]
    CatchUp,
    Drop,
}

impl Command {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        serde_json::from_str(text).map_err(|error| Refusal::Invalid(format!("message: {error}")))
    }
}

impl Subscribe {
    /// The live query that it asks for, if it does, else events.
    pub(super) fn into_request(mut self) -> Result<Either<LiveAsked, proto::SubscribeRequest>, Refusal> {
        let spans = (span("every", self.every.take())?, span("lateness", self.lateness.take())?);
        let lonely = [("every", spans.0), ("lateness", spans.1)].into_iter().find(|(_, span)| span.is_some());
        match (self.sql.take(), lonely) {
            (None, Some((name, _))) => Err(Refusal::Invalid(format!("{name}: is of a live query, sql is missing"))),
            (None, None) => Ok(Either::Right(self.events()?)),
            (Some(sql), _) => {
                let (every, lateness) = (spans.0.unwrap_or(EVERY_DEFAULT), spans.1.unwrap_or(LATENESS_DEFAULT));
                Ok(Either::Left(LiveAsked { sql, every, lateness, request: self.events()? }))
            }
        }
    }

    fn events(self) -> Result<proto::SubscribeRequest, Refusal> {
        let Predicates { event_types, service_names, trace_ids, session_ids, condition: where_sql } = self.filter;
        let on_lag = match self.on_lag {
            Lag::CatchUp => proto::OnLag::CatchUp,
            Lag::Drop => proto::OnLag::Drop,
        };
        let from = if self.from.is_empty() { "now" } else { &self.from };
        let start: Start = from.parse().map_err(|error| Refusal::Invalid(format!("from: {error}")))?;
        Ok(proto::SubscribeRequest {
            filter: Some(proto::Filter { topics: self.topics, event_types, service_names, trace_ids, session_ids, where_sql }),
            start: Some(start.into()),
            on_lag: on_lag.into(),
        })
    }
}

/// The query of an address, for server-sent events: `?topic=trace.*&topic=log.**&from=earliest`.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) subscribe: Subscribe,
    pub(super) tenant: Option<String>,
}

impl Query {
    pub(super) fn parse(query: &str) -> Result<Self, Refusal> {
        let mut all = Self::default();
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            all.take(&key, value.into_owned())?;
        }
        Ok(all)
    }

    fn take(&mut self, key: &str, value: String) -> Result<(), Refusal> {
        let asked = &mut self.subscribe;
        match key {
            "topic" => asked.topics.push(value),
            "event_type" => asked.filter.event_types.push(value),
            "service_name" => asked.filter.service_names.push(value),
            "trace_id" => asked.filter.trace_ids.push(value),
            "session_id" => asked.filter.session_ids.push(value),
            "where" => asked.filter.condition = value,
            "from" => asked.from = value,
            "on_lag" if value == "catch_up" => asked.on_lag = Lag::CatchUp,
            "on_lag" if value == "drop" => asked.on_lag = Lag::Drop,
            "on_lag" => return Err(Refusal::Invalid("on_lag: must be catch_up or drop".to_owned())),
            "tenant" => self.tenant = Some(value),
            "sql" => asked.sql = Some(value),
            "every" => asked.every = Some(value),
            "lateness" => asked.lateness = Some(value),
            other => return Err(Refusal::Invalid(format!("query: `{other}` is unknown"))),
        }
        Ok(())
    }

    pub(super) fn is_live(&self) -> bool {
        self.subscribe.sql.is_some()
    }

    /// A client that comes back says what it has seen.
    pub(super) fn resume(&mut self, last_event_id: &str) {
        last_event_id.clone_into(&mut self.subscribe.from);
    }
}

fn span(field: &str, text: Option<String>) -> Result<Option<Duration>, Refusal> {
    let parse = |text: String| humantime::parse_duration(&text);
    text.map(parse).transpose().map_err(|error| Refusal::Invalid(format!("{field}: {error}, for example 5s or 500ms")))
}
