//! A session that is up: calls to one life of one peer, with the bytes in flight counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ractor::ActorRef;
use ractor::rpc::CallResult;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use watershed_schema::NodeId;

use crate::gateway::Frame;
use crate::hello::BootId;
use crate::limits::{HEARTBEAT_INTERVAL, IN_FLIGHT_BYTES_MAX, URGENT_IN_FLIGHT_BYTES_MAX};
use crate::wire::{self, Answer};
use crate::{CallError, Refused, Request};

pub(crate) struct Session {
    to: NodeId,
    pub(crate) boot: BootId,
    pub(crate) since: SystemTime,
    /// What the peer knows our calls by.
    token: u64,
    gateway: ActorRef<Frame>,
    bytes: Arc<Semaphore>,
    urgent_bytes: Arc<Semaphore>,
    /// Of the last heartbeat; 0 before the first.
    rtt_micros: AtomicU64,
    misses: AtomicU32,
}

impl Session {
    pub(crate) fn new(to: NodeId, boot: BootId, token: u64, gateway: ActorRef<Frame>) -> Self {
        Self {
            to,
            boot,
            since: SystemTime::now(),
            token,
            gateway,
            bytes: Arc::new(Semaphore::new(IN_FLIGHT_BYTES_MAX)),
            urgent_bytes: Arc::new(Semaphore::new(URGENT_IN_FLIGHT_BYTES_MAX)),
            rtt_micros: AtomicU64::new(0),
            misses: AtomicU32::new(0),
        }
    }

    /// Round trip of the last heartbeat that was answered.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        Some(self.rtt_micros.load(Ordering::Relaxed)).filter(|micros| *micros > 0).map(Duration::from_micros)
    }

    /// Heartbeats without an answer since the last one with.
    pub(crate) fn misses(&self) -> u32 {
        self.misses.load(Ordering::Relaxed)
    }

    /// Nothing is sent any more; who waits for room is told.
    pub(crate) fn close(&self) {
        self.bytes.close();
        self.urgent_bytes.close();
    }

    pub(crate) async fn call(&self, request: Request, deadline: Instant) -> Result<Bytes, CallError> {
        request.check()?;
        let permit = self.permit(&request, deadline).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        let frame = wire::call(self.token, &request, left);
        let (done, answered) = oneshot::channel();
        // The permit is freed when the bytes are, which is not when the caller stops waiting: then they may still lie
        // in a queue before a frozen peer. The task ends with the answer or the session.
        tokio::spawn(carry(self.gateway.clone(), self.to, frame, permit, done));
        match timeout_at(deadline, answered).await {
            Ok(Ok(answer)) => open(answer?, &request),
            Ok(Err(_)) => Err(CallError::Unknown { why: "the session ended" }),
            Err(_) => Err(no_answer()),
        }
    }

    async fn permit(&self, request: &Request, deadline: Instant) -> Result<OwnedSemaphorePermit, CallError> {
        let (room, limit) = match request.urgent {
            true => (&self.urgent_bytes, URGENT_IN_FLIGHT_BYTES_MAX),
            false => (&self.bytes, IN_FLIGHT_BYTES_MAX),
        };
        let bytes = request.cost();
        let permits = u32::try_from(bytes).expect("invariant: a checked request fits");
        match timeout_at(deadline, Arc::clone(room).acquire_many_owned(permits)).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(CallError::Unreachable { to: self.to }),
            Err(_) => Err(CallError::Busy { to: self.to, bytes, limit }),
        }
    }

    /// Asks whether the peer is there; the number of misses in a row.
    pub(crate) async fn heartbeat(&self) -> u32 {
        let asked = Instant::now();
        let answer = timeout(HEARTBEAT_INTERVAL, ask(&self.gateway, self.to, wire::heartbeat(self.token))).await;
        if let Ok(Ok(Answer::Done(_))) = answer {
            let micros = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.rtt_micros.store(micros.max(1), Ordering::Relaxed);
            self.misses.store(0, Ordering::Relaxed);
            0
        } else {
            self.misses.fetch_add(1, Ordering::Relaxed) + 1
        }
    }
}

fn no_answer() -> CallError {
    CallError::Unknown { why: "no answer before the deadline" }
}

fn open(answer: Answer, request: &Request) -> Result<Bytes, CallError> {
    match answer {
        Answer::Done(body) => Ok(body),
        Answer::Refused(Refused(reason)) => Err(CallError::Refused(reason)),
        Answer::Expired => Err(no_answer()),
        Answer::TooLarge(bytes) => Err(CallError::AnswerTooLarge { bytes, limit: request.answer_bytes_max }),
    }
}

async fn carry(
    gateway: ActorRef<Frame>,
    to: NodeId,
    frame: Vec<u8>,
    permit: OwnedSemaphorePermit,
    done: oneshot::Sender<Result<Answer, CallError>>,
) {
    let answer = ask(&gateway, to, frame).await;
    drop(permit);
    if done.send(answer).is_err() {
        tracing::debug!(node = %to, "an answer came after its deadline");
    }
}

async fn ask(gateway: &ActorRef<Frame>, to: NodeId, frame: Vec<u8>) -> Result<Answer, CallError> {
    match gateway.call(|reply| Frame(frame, reply), None).await {
        Ok(CallResult::Success(answer)) => Answer::decode(answer),
        Ok(CallResult::Timeout | CallResult::SenderError) => Err(CallError::Unknown { why: "the session ended" }),
        // The library's end of the session is gone: it did not take the frame.
        Err(_) => Err(CallError::Unreachable { to }),
    }
}
