//! Appends to one follower, several on the way at once, answered in their order.

use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use openraft::error::{NetworkError, RPCError};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendResult};
use openraft::{AnyError, OptionalSend};
use tokio::sync::Semaphore;

use super::network::{Peer, Streamed, append_body};
use super::types::{Position, Types};

/// Appends on their way to one follower. More only adds latency.
const CALLS_MAX: usize = 16;
/// Bytes on their way to one follower; one body that is larger goes alone.
const WINDOW_BYTES: u32 = 1024 * 1024;

/// Sends `input` until it ends or something fails; openraft then starts a new stream where the follower stands.
pub(super) fn run<'s, S>(peer: Peer, input: S) -> Streamed<'s>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
{
    let window = Arc::new(Semaphore::new(WINDOW_BYTES as usize));
    let mut place = peer.first_place();
    let numbered = input.map(move |rpc| {
        let range = range(&rpc);
        let (kind, body) = append_body(rpc, place);
        if let Some(place) = &mut place {
            place.number += 1;
        }
        (range, kind, body)
    });
    let permitted = numbered.then(move |(range, kind, body)| {
        let (window, weight) = (Arc::clone(&window), u32::try_from(body.len()).map_or(WINDOW_BYTES, |len| len.min(WINDOW_BYTES)));
        async move { (window.acquire_many_owned(weight).await, range, kind, body) }
    });
    let sent = permitted.map(move |(permit, (prev, last), kind, body)| {
        let peer = peer.clone();
        async move {
            let answer = peer.append(kind, body).await;
            drop(permit);
            match answer? {
                // Nothing is before the first entry, so nothing can conflict there.
                AppendEntriesResponse::Conflict if prev.is_none() => Err(conflict_at_the_beginning()),
                answer => Ok(answer.into_stream_result(prev, last)),
            }
        }
    });
    Box::pin(until_failure(sent.buffered(CALLS_MAX)))
}

/// Position before the entries, and the last of them.
fn range(rpc: &AppendEntriesRequest<Types>) -> (Option<Position>, Option<Position>) {
    (rpc.prev_log_id, rpc.entries.last().map(|last| last.log_id).or(rpc.prev_log_id))
}

fn conflict_at_the_beginning() -> RPCError<Types> {
    RPCError::Network(NetworkError::new(&AnyError::error("the follower reports a conflict before the first entry")))
}

/// What was sent behind a failed append failed too.
fn until_failure<E>(
    answers: impl Stream<Item = Result<StreamAppendResult<Types>, E>>,
) -> impl Stream<Item = Result<StreamAppendResult<Types>, E>> {
    answers.scan(false, |failed, answer| {
        let go_on = !std::mem::replace(failed, !matches!(answer, Ok(Ok(_))));
        std::future::ready(go_on.then_some(answer))
    })
}
