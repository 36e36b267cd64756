//! Heartbeats of several groups to one node travel together.
//!
//! All groups that this node leads beat at the same moment. One call for each group would cost a node with many shards more
//! than everything else that it does while nobody asks it anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use prost::Message as _;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use watershed_actors::Gateway;
use watershed_cluster::{Call, RaftCall, TransportError};
use watershed_peer::limits::URGENT_BYTES_MAX;
use watershed_peer::{Fabric, Request};
use watershed_schema::{GroupId, NodeId};

use super::peers::of_call;

/// Kind of a call with heartbeats.
pub(super) const BEATS: u8 = 102;
/// How long the first waits for the others.
const GATHER: Duration = Duration::from_millis(1);
/// A group that is stuck does not keep the others' answers: they are what their leases live on.
const ANSWER_DEADLINE: Duration = Duration::from_millis(50);
/// Longest heartbeat that travels with others, bytes.
const BEAT_BYTES_MAX: usize = 256;
/// What is said of it beside, bytes.
const HEAD_BYTES_MAX: usize = 16;
const BEATS_MAX: usize = URGENT_BYTES_MAX / (BEAT_BYTES_MAX + HEAD_BYTES_MAX);
/// Longest reason, characters: one group's must not make the answers to all the others too long to be sent.
const REFUSAL_CHARS_MAX: usize = BEAT_BYTES_MAX / 4;

/// Heartbeats, or the answers to them in the same order.
#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(message, repeated, tag = "1")]
    beats: Vec<Beat>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Beat {
    #[prost(uint32, tag = "1")]
    group: u32,
    #[prost(bytes = "bytes", tag = "2")]
    body: Bytes,
    /// In an answer: why there is none.
    #[prost(string, tag = "3")]
    refusal: String,
}

type Answered = Result<Bytes, TransportError>;

struct Waiting {
    beat: Beat,
    deadline: Duration,
    reply: oneshot::Sender<Answered>,
}

/// Heartbeats that wait for others to the same node.
pub(super) struct Beats {
    fabric: Arc<Fabric>,
    waiting: Mutex<BTreeMap<NodeId, Vec<Waiting>>>,
}

/// Whether a call is a heartbeat that travels with others.
pub(super) fn is_beat(call: &Call) -> bool {
    call.kind == RaftCall::Heartbeat && call.body.len() <= BEAT_BYTES_MAX
}

impl Beats {
    pub(super) fn new(fabric: Arc<Fabric>) -> Arc<Self> {
        Arc::new(Self { fabric, waiting: Mutex::default() })
    }

    /// Sends a heartbeat with those that come at the same time.
    pub(super) async fn send(self: &Arc<Self>, to: NodeId, call: Call) -> Answered {
        let (reply, answered) = oneshot::channel();
        let beat = Beat { group: call.group.0, body: call.body, refusal: String::new() };
        let is_first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = waiting.entry(to).or_default();
            waiting.push(Waiting { beat, deadline: call.deadline, reply });
            waiting.len() == 1
        };
        if is_first {
            tokio::spawn(Arc::clone(self).gather(to));
        }
        answered.await.unwrap_or_else(|_gone| Err(TransportError::Unknown("the heartbeat was dropped".to_owned())))
    }

    async fn gather(self: Arc<Self>, to: NodeId) {
        sleep(GATHER).await;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&to).unwrap_or_default();
        while !waiting.is_empty() {
            let rest = waiting.split_off(waiting.len().min(BEATS_MAX));
            tokio::spawn(Arc::clone(&self).together(to, std::mem::replace(&mut waiting, rest)));
        }
    }

    async fn together(self: Arc<Self>, to: NodeId, waiting: Vec<Waiting>) {
        let deadline = waiting.iter().map(|one| one.deadline).max().unwrap_or_default();
        let message = Message { beats: waiting.iter().map(|one| one.beat.clone()).collect() };
        let request = Request::new(BEATS, 0, Bytes::from(message.encode_to_vec())).answer_bytes_max(URGENT_BYTES_MAX).urgent();
        let answer = self.fabric.call(to, request, deadline).await.map_err(of_call);
        let answers = answer.and_then(|body| opened(body, waiting.len()));
        for (at, one) in waiting.into_iter().enumerate() {
            let mine = answers.as_ref().map_err(Clone::clone).and_then(|answers| answer_of(&answers[at]));
            drop(one.reply.send(mine));
        }
    }
}

fn opened(body: Bytes, count: usize) -> Result<Vec<Beat>, TransportError> {
    let unknown = |reason: String| TransportError::Unknown(reason);
    let answers = Message::decode(body).map_err(|error| unknown(error.to_string()))?.beats;
    if answers.len() == count { Ok(answers) } else { Err(unknown(format!("{} answers to {count} heartbeats", answers.len()))) }
}

fn answer_of(beat: &Beat) -> Answered {
    if beat.refusal.is_empty() { Ok(beat.body.clone()) } else { Err(TransportError::Refused(beat.refusal.clone())) }
}

/// Answers heartbeats, each by its group.
pub(super) async fn answer(gateway: &Gateway, body: Bytes) -> Result<Bytes, String> {
    let message = Message::decode(body).map_err(|error| error.to_string())?;
    let beats = join_all(message.beats.into_iter().map(|beat| answered(gateway, beat))).await;
    Ok(Bytes::from(Message { beats }.encode_to_vec()))
}

async fn answered(gateway: &Gateway, Beat { group, body, .. }: Beat) -> Beat {
    let answer = timeout(ANSWER_DEADLINE, gateway.beat(GroupId(group), body)).await;
    match answer.unwrap_or_else(|_late| Err(format!("no answer within {ANSWER_DEADLINE:?}"))) {
        Ok(body) => Beat { group, body, refusal: String::new() },
        Err(refusal) => Beat { group, body: Bytes::new(), refusal: refusal.chars().take(REFUSAL_CHARS_MAX).collect() },
    }
}

#[cfg(test)]
mod tests {
    use watershed_actors::{Backlog, Budget};

    use super::*;

    fn message(beats: Vec<Beat>) -> Bytes {
        Bytes::from(Message { beats }.encode_to_vec())
    }

    #[test]
    fn as_many_as_travel_together_fit_into_an_urgent_call() {
        let beat = Beat { group: u32::MAX, body: vec![7; BEAT_BYTES_MAX].into(), refusal: String::new() };
        let refused = Beat { group: u32::MAX, body: Bytes::new(), refusal: "\u{1f600}".repeat(REFUSAL_CHARS_MAX) };
        for full in [beat, refused] {
            let bytes = message(vec![full; BEATS_MAX]).len();
            assert!(bytes <= URGENT_BYTES_MAX, "{bytes}");
        }
    }

    #[tokio::test]
    async fn each_gets_its_own_answer() {
        let gateway = Gateway::new(NodeId(1), Budget::new(1), Backlog::new(1));
        let asked = [3, 4].map(|group| Beat { group, ..Beat::default() });
        let answers = opened(answer(&gateway, message(asked.to_vec())).await.expect("answered"), 2).expect("two");
        assert_eq!(answer_of(&answers[1]), Err(TransportError::Refused("group 4 is not here".to_owned())));
        let taken = Beat { body: Bytes::from_static(b"yes"), ..Beat::default() };
        assert_eq!(answer_of(&taken), Ok(Bytes::from_static(b"yes")));
        assert!(opened(message(vec![taken]), 2).is_err(), "one answer for two");
        assert!(answer(&gateway, Bytes::from_static(b"\xff")).await.is_err());
    }
}
