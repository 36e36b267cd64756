//! `QueryService`: SQL as a stream of Arrow IPC, whole traces and sessions, status.

use std::time::Duration;

use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use tonic::{Request, Response, Status};
use watershed_client::services::query_service_server::QueryService;
use watershed_query::{ErrorKind, QueryError, Rows};
use watershed_schema::proto;

use super::{Context, live};
use crate::refusal::Refusal;
use crate::tenant;

/// Longest a caller whose query was too big should wait before the next.
const TOO_BIG_RETRY: Duration = Duration::from_secs(1);

pub(super) struct Query(pub(super) Context);

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        let reason = error.to_string();
        match error.kind() {
            ErrorKind::InvalidArgument => Self::Invalid(reason),
            ErrorKind::ResourceExhausted => Self::Overloaded { reason, retry_after: TOO_BIG_RETRY },
            ErrorKind::DeadlineExceeded => Self::Deadline(reason),
            ErrorKind::Unavailable => Self::Unavailable(reason),
            ErrorKind::Internal => Self::Internal(reason),
        }
    }
}

pub(super) fn status(error: QueryError) -> Status {
    Refusal::from(error).into()
}

#[tonic::async_trait]
impl QueryService for Query {
    type SqlStream = BoxStream<'static, Result<proto::SqlResponse, Status>>;

    async fn sql(&self, request: Request<proto::SqlRequest>) -> Result<Response<Self::SqlStream>, Status> {
        let tenant = tenant::of(&request.metadata().clone().into_headers())?;
        let asked = request.into_inner();
        let deadline = (asked.deadline_ms > 0).then(|| Duration::from_millis(u64::from(asked.deadline_ms)));
        let rows = self.0.engine.sql(&tenant, &asked.sql, deadline).await.map_err(status)?;
        Ok(Response::new(ipc(rows)?))
    }

    type LiveStream = BoxStream<'static, Result<proto::LiveResponse, Status>>;

    async fn live(&self, request: Request<proto::LiveRequest>) -> Result<Response<Self::LiveStream>, Status> {
        let tenant = tenant::of(&request.metadata().clone().into_headers())?;
        let asked = request.into_inner();
        let streams = &self.0.streams;
        let live = streams.live(tenant, live::asked(asked)).await?;
        Ok(Response::new(live::ipc(live, streams.drain.clone())?))
    }

    async fn get_trace(&self, request: Request<proto::GetTraceRequest>) -> Result<Response<proto::GetTraceResponse>, Status> {
        let tenant = tenant::of(&request.metadata().clone().into_headers())?;
        let trace_id = required("trace_id", request.into_inner().trace_id)?;
        let events = self.0.engine.trace(&tenant, &trace_id.to_ascii_lowercase()).await.map_err(status)?;
        Ok(Response::new(proto::GetTraceResponse { events }))
    }

    async fn get_session(&self, request: Request<proto::GetSessionRequest>) -> Result<Response<proto::GetTraceResponse>, Status> {
        let tenant = tenant::of(&request.metadata().clone().into_headers())?;
        let session_id = required("session_id", request.into_inner().session_id)?;
        let events = self.0.engine.session(&tenant, &session_id).await.map_err(status)?;
        Ok(Response::new(proto::GetTraceResponse { events }))
    }

    async fn status(&self, _: Request<proto::StatusRequest>) -> Result<Response<proto::StatusResponse>, Status> {
        let shards = self.0.node.replicas().iter().map(shard_status).collect();
        let (me, leader) = self.0.node.me_and_committer();
        let (backlog, failing) = (self.0.node.backlog(), self.0.node.backlog().failing());
        let failing_for = failing.as_ref().map_or(Duration::ZERO, |failing| failing.since.elapsed());
        let response = proto::StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            shards,
            node: me.0,
            control_leader_node: leader.map_or(0, |node| node.0),
            archive_backlog_bytes: backlog.used(),
            archive_backlog_max_bytes: backlog.max(),
            archive_failing: failing.map_or_else(String::new, |failing| failing.reason),
            archive_failing_ms: u64::try_from(failing_for.as_millis()).unwrap_or(u64::MAX),
        };
        Ok(Response::new(response))
    }
}

fn shard_status(replica: &watershed_actors::Replica) -> proto::ShardStatus {
    let (positions, group) = (replica.positions(), replica.status());
    proto::ShardStatus {
        shard: u32::from(replica.id().0),
        leader: group.role == watershed_cluster::Role::Leader,
        role: group.role.as_str().to_owned(),
        leader_node: group.leader.map_or(0, |node| node.0),
        voters: group.voters.iter().map(|node| node.0).collect(),
        term: group.term.0,
        trimmed_seq: positions.trimmed().0,
        archived_seq: positions.archived().0,
        staged_seq: positions.staged().0,
        tail_seq: positions.tail().0,
        hot_bytes: replica.hot_bytes(),
    }
}

fn required(field: &str, value: String) -> Result<String, Refusal> {
    if value.is_empty() { Err(Refusal::Invalid(format!("{field} is missing"))) } else { Ok(value) }
}

/// An IPC stream in pieces: the schema with the first, each batch as it comes, the end marker last.
fn ipc(rows: Rows) -> Result<BoxStream<'static, Result<proto::SqlResponse, Status>>, Status> {
    let internal = |error: arrow::error::ArrowError| Status::from(Refusal::Internal(error.to_string()));
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema).map_err(internal)?;
    let head = piece(&mut writer);
    let state = Some((writer, rows.batches));
    let rest = stream::unfold(state, move |state| async move {
        let (mut writer, mut batches) = state?;
        let (written, state) = match batches.next().await {
            Some(Ok(batch)) => (writer.write(&batch), true),
            Some(Err(error)) => return Some((Err(status(error)), None)),
            None => (writer.finish(), false),
        };
        match written {
            Ok(()) => Some((Ok(piece(&mut writer)), state.then_some((writer, batches)))),
            Err(error) => Some((Err(internal(error)), None)),
        }
    });
    Ok(stream::once(async move { Ok(head) }).chain(rest).boxed())
}

fn piece(writer: &mut StreamWriter<Vec<u8>>) -> proto::SqlResponse {
    proto::SqlResponse { arrow_ipc: written(writer) }
}

/// What was written since the last time.
pub(super) fn written(writer: &mut StreamWriter<Vec<u8>>) -> Bytes {
    Bytes::from(std::mem::take(writer.get_mut()))
}
