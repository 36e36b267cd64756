//! A live query: rows as windows close.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use arrow::record_batch::RecordBatch;
use futures::Stream;
use watershed_schema::proto;
use watershed_schema::proto::live_request::Start as Wire;

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
    /// Where it begins; a token is none.
    pub start: Start,
}

impl LiveQuery {
    /// A window a second from now on, which waits five seconds for late events.
    #[must_use]
    pub fn new(sql: impl Into<String>) -> Self {
        let (every, lateness) = (Duration::from_secs(1), Duration::from_secs(5));
        Self { sql: sql.into(), every, lateness, filter: Filter::default(), start: Start::Now }
    }

    pub(crate) fn into_request(self) -> Result<proto::LiveRequest, Error> {
        let start = match self.start {
            Start::Now => Wire::Now(true),
            Start::Earliest => Wire::Earliest(true),
            Start::TimestampUs(from_us) => Wire::TimestampUs(from_us),
            Start::Token(_) => {
                return Err(tonic::Status::invalid_argument("start: a live query does not begin at a token").into());
            }
        };
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (every_ms, lateness_ms) = (millis(self.every), millis(self.lateness));
        Ok(proto::LiveRequest { sql: self.sql, every_ms, lateness_ms, filter: Some(self.filter), start: Some(start) })
    }
}

/// What has come of a live query.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveRows {
    /// A batch for each window that closed: `window_start`, `window_end`, then what is selected.
    pub windows: Vec<RecordBatch>,
    /// Events so far that came after their window was closed: they are in no row.
    pub late: u64,
    /// Positions so far that no tier has any longer.
    pub lost: u64,
}

/// Rows of a live query; ends only with an error.
#[derive(Debug)]
pub struct LiveStream {
    pieces: tonic::Streaming<proto::LiveResponse>,
    decoder: StreamDecoder,
    ended: bool,
}

impl LiveStream {
    pub(crate) fn new(pieces: tonic::Streaming<proto::LiveResponse>) -> Self {
        Self { pieces, decoder: StreamDecoder::new(), ended: false }
    }

    fn take(&mut self, piece: proto::LiveResponse) -> Result<LiveRows, Error> {
        let (mut buffer, mut windows) = (Buffer::from(piece.arrow_ipc), Vec::new());
        while !buffer.is_empty() {
            windows.extend(self.decoder.decode(&mut buffer)?);
        }
        Ok(LiveRows { windows, late: piece.late_events, lost: piece.lost_events })
    }
}

impl Stream for LiveStream {
    type Item = Result<LiveRows, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let taken = match ready!(Pin::new(&mut self.pieces).poll_next(context)) {
            Some(Ok(piece)) => self.take(piece),
            Some(Err(status)) => Err(status.into()),
            None => Err(Error::Protocol("the end of a live query")),
        };
        self.ended = taken.is_err();
        Poll::Ready(Some(taken))
    }
}
