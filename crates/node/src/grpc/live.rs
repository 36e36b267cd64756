//! `QueryService.Live`: rows of a live query as pieces of one Arrow IPC stream.

use std::time::Duration;

use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use futures::stream::{self, BoxStream, StreamExt as _};
use tonic::Status;
use watershed_schema::proto::live_request::Start;
use watershed_schema::proto::{self, subscribe_request};

use super::query::written;
use crate::drain::Drain;
use crate::refusal::Refusal;
use crate::subscribe::{Live, LiveAsked, LiveTold};

pub(super) fn asked(asked: proto::LiveRequest) -> LiveAsked {
    let start = asked.start.map(|start| match start {
        Start::Now(now) => subscribe_request::Start::Now(now),
        Start::Earliest(earliest) => subscribe_request::Start::Earliest(earliest),
        Start::TimestampUs(from_us) => subscribe_request::Start::TimestampUs(from_us),
        Start::ResumeToken(token) => subscribe_request::Start::ResumeToken(token),
    });
    LiveAsked {
        sql: asked.sql,
        every: Duration::from_millis(asked.every_ms),
        lateness: Duration::from_millis(asked.lateness_ms),
        request: proto::SubscribeRequest { filter: asked.filter, start, ..proto::SubscribeRequest::default() },
    }
}

/// The schema, then what comes.
pub(super) fn ipc(mut live: Live, drain: Drain) -> Result<BoxStream<'static, Result<proto::LiveResponse, Status>>, Status> {
    let mut writer = StreamWriter::try_new(Vec::new(), &live.schema()).map_err(internal)?;
    let (arrow_ipc, resume_token) = (written(&mut writer), live.token().into());
    let head = proto::LiveResponse { arrow_ipc, resume_token, ..proto::LiveResponse::default() };
    let rest = live.told(drain).scan(writer, |writer, told| {
        let said = told.map_err(Status::from).and_then(|told| response(writer, told).map_err(internal));
        std::future::ready(Some(said))
    });
    Ok(stream::once(async move { Ok(head) }).chain(rest).boxed())
}

fn response(writer: &mut StreamWriter<Vec<u8>>, told: LiveTold) -> Result<proto::LiveResponse, ArrowError> {
    let LiveTold { rows, late: late_events, lost: lost_events, token } = told;
    rows.iter().try_for_each(|rows| writer.write(rows))?;
    Ok(proto::LiveResponse { arrow_ipc: written(writer), late_events, lost_events, resume_token: token.into() })
}

fn internal(error: ArrowError) -> Status {
    Refusal::Internal(error.to_string()).into()
}
