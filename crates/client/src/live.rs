//! A live query: rows as windows close, each once, whatever becomes of the connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use arrow::record_batch::RecordBatch;
use futures::stream::{BoxStream, Stream};
use watershed_schema::proto;
use watershed_schema::proto::live_request::Start as Wire;

use crate::backoff::Backoff;
use crate::client::Service;
use crate::services::query_service_client::QueryServiceClient;
use crate::{Error, Filter, Start};

/// A live query: `SELECT aggregates FROM events [WHERE …] [GROUP BY …]` for each window.
#[derive(Clone, Debug)]
pub struct LiveQuery {
    /// The statement.
    pub sql: String,
    /// Length of a window.
    pub every: Duration,
    /// How long a window waits for events that come late.
    pub lateness: Duration,
    /// Which events are read at all, besides what the SQL says.
    pub filter: Filter,
    /// Where it begins; a token is one of the same query's [`LiveRows`].
    pub start: Start,
}

impl LiveQuery {
    /// A window a second from now on, which waits five seconds for late events.
    #[must_use]
    pub fn new(sql: impl Into<String>) -> Self {
        let (every, lateness) = (Duration::from_secs(1), Duration::from_secs(5));
        Self { sql: sql.into(), every, lateness, filter: Filter::default(), start: Start::Now }
    }

    pub(crate) fn into_request(self) -> proto::LiveRequest {
        let start = match self.start {
            Start::Now => Wire::Now(true),
            Start::Earliest => Wire::Earliest(true),
            Start::TimestampUs(from_us) => Wire::TimestampUs(from_us),
            Start::Token(token) => Wire::ResumeToken(token),
        };
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (every_ms, lateness_ms) = (millis(self.every), millis(self.lateness));
        proto::LiveRequest { sql: self.sql, every_ms, lateness_ms, filter: Some(self.filter), start: Some(start) }
    }
}

/// What has come of a live query.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveRows {
    /// A batch for each window that closed: `window_start`, `window_end`, then what is selected.
    pub windows: Vec<RecordBatch>,
    /// Events so far that came after their window was closed: they are in no row.
    pub late: u64,
    /// Positions so far that are not delivered: no tier has them any longer, or they are in dead letters.
    pub lost: u64,
    /// Resumes behind it, on whichever node: [`Start::Token`].
    pub resume_token: bytes::Bytes,
}

/// Rows of a live query, through as many connections as it takes; ends only with an error.
pub struct LiveStream {
    rows: BoxStream<'static, Result<LiveRows, Error>>,
}

impl std::fmt::Debug for LiveStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LiveStream")
    }
}

impl Stream for LiveStream {
    type Item = Result<LiveRows, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.rows.as_mut().poll_next(context)
    }
}

impl LiveStream {
    pub(crate) async fn open(mut service: QueryServiceClient<Service>, query: LiveQuery) -> Result<Self, Error> {
        let pieces = service.live(query.clone().into_request()).await?.into_inner();
        let connection = Some((pieces, StreamDecoder::new()));
        let follower = Follower { service, query, connection, backoff: Backoff::default(), failed: false };
        Ok(Self { rows: Box::pin(futures::stream::unfold(follower, Follower::step)) })
    }
}

struct Follower {
    service: QueryServiceClient<Service>,
    /// Begins behind what was told.
    query: LiveQuery,
    /// Each has an Arrow stream of its own.
    connection: Option<(tonic::Streaming<proto::LiveResponse>, StreamDecoder)>,
    backoff: Backoff,
    failed: bool,
}

impl Follower {
    async fn step(mut self) -> Option<(Result<LiveRows, Error>, Self)> {
        if self.failed {
            return None;
        }
        let next = self.next().await;
        self.failed = next.is_err();
        Some((next, self))
    }

    async fn next(&mut self) -> Result<LiveRows, Error> {
        loop {
            match self.receive().await {
                Ok(Some(rows)) => {
                    self.backoff = Backoff::default();
                    self.query.start = Start::Token(rows.resume_token.clone());
                    return Ok(rows);
                }
                Ok(None) => self.lost().await,
                Err(error) if error.is_retryable() => self.lost().await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn receive(&mut self) -> Result<Option<LiveRows>, Error> {
        let (pieces, decoder) = match self.connection.take() {
            Some(connection) => self.connection.insert(connection),
            None => {
                let pieces = self.service.live(self.query.clone().into_request()).await?.into_inner();
                self.connection.insert((pieces, StreamDecoder::new()))
            }
        };
        let Some(proto::LiveResponse { arrow_ipc, late_events: late, lost_events: lost, resume_token }) =
            pieces.message().await?
        else {
            return Ok(None);
        };
        let (mut buffer, mut windows) = (Buffer::from(arrow_ipc), Vec::new());
        while !buffer.is_empty() {
            windows.extend(decoder.decode(&mut buffer)?);
        }
        Ok(Some(LiveRows { windows, late, lost, resume_token }))
    }

    async fn lost(&mut self) {
        self.connection = None;
        self.backoff.wait().await;
    }
}
