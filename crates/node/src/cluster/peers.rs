//! The actors' way to other nodes, over the sessions of `watershed-peer`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, sleep};
use watershed_actors::{Ask, Gateway, Peers, Question};
use watershed_cluster::{Call, Transport, TransportError};
use watershed_peer::limits::{BODY_BYTES_MAX, URGENT_BYTES_MAX};
use watershed_peer::{CallError, DialError, Fabric, RefusalCode, Refused, Request, Service};
use watershed_schema::{GroupId, NodeId};

use super::beats::{self, BEATS, Beats};
use super::join::NAMELESS;
use super::parts::{self, PART, Parts};
use super::rests::{self, First, MORE, Piece, Rests};

const SEEK_AGAIN: Duration = Duration::from_secs(1);

/// Sessions with the other nodes.
pub(super) struct FabricPeers {
    fabric: Arc<Fabric>,
    beats: Arc<Beats>,
    me: NodeId,
    calls: AtomicU64,
}

impl FabricPeers {
    pub(super) fn new(fabric: Fabric, me: NodeId) -> Self {
        let fabric = Arc::new(fabric);
        Self { beats: Beats::new(Arc::clone(&fabric)), fabric, me, calls: AtomicU64::new(0) }
    }

    /// Dials the addresses that the settings name until somebody answers: from then on the control log says who is where.
    ///
    /// # Errors
    /// A node that answers at once is of another cluster.
    pub(super) async fn seek(&self, addresses: Vec<String>) -> Result<(), DialError> {
        dial(&self.fabric, &addresses).await?;
        let fabric = Arc::clone(&self.fabric);
        tokio::spawn(async move {
            while !fabric.peers().iter().any(|peer| peer.session.is_some()) {
                sleep(SEEK_AGAIN).await;
                drop(dial(&fabric, &addresses).await);
            }
        });
        Ok(())
    }

    /// Nodes that asked for a number and went. One that is only just coming looks the same: it must be able to ask again.
    async fn forget_guests(&self) {
        for guest in self.fabric.peers().iter().filter(|peer| peer.node.0 >= NAMELESS && peer.session.is_none()) {
            self.fabric.forget_peer(guest.node).await;
        }
    }

    async fn rest(&self, to: NodeId, first: First, end: Instant) -> Result<Bytes, TransportError> {
        let mut answer = BytesMut::from(first.piece);
        while answer.len() < first.total {
            let left = end.saturating_duration_since(Instant::now());
            let request = Request::new(MORE, 0, rests::more(first.id, answer.len())).answer_bytes_max(BODY_BYTES_MAX);
            answer.extend_from_slice(&self.fabric.call(to, request, left).await.map_err(of_call)?);
        }
        Ok(answer.freeze())
    }

    /// In parts when it is larger than one call may be.
    async fn send(&self, to: NodeId, request: Request, deadline: Duration) -> Result<Bytes, TransportError> {
        if request.body.len() <= BODY_BYTES_MAX {
            return self.fabric.call(to, request, deadline).await.map_err(of_call);
        }
        let Request { kind, group, body, answer_bytes_max, .. } = request;
        let (id, end) = (self.calls.fetch_add(1, Ordering::Relaxed), Instant::now() + deadline);
        let mut answer = Bytes::new();
        for part in parts::cut(id, kind, &body) {
            let left = end.saturating_duration_since(Instant::now());
            answer = self
                .fabric
                .call(to, Request::new(PART, group, part).answer_bytes_max(answer_bytes_max), left)
                .await
                .map_err(of_call)?;
        }
        Ok(answer)
    }
}

/// Dials one after the other; the only error is a node of another cluster.
async fn dial(fabric: &Fabric, addresses: &[String]) -> Result<(), DialError> {
    let mut foreign = Ok(());
    for address in addresses {
        match fabric.dial_seed(address).await {
            Err(error) if is_foreign(&error) => foreign = Err(error),
            Err(error) => tracing::debug!(%address, %error, "does not answer yet"),
            Ok(_) => {}
        }
    }
    foreign
}

fn is_foreign(error: &DialError) -> bool {
    matches!(error, DialError::Refused(refusal) | DialError::RefusedByPeer(refusal) if refusal.code == RefusalCode::Cluster)
}

pub(super) fn of_call(error: CallError) -> TransportError {
    match error {
        CallError::Unreachable { .. } => TransportError::Unreachable(error.to_string()),
        CallError::TooLarge { bytes, limit, .. } => TransportError::TooLarge { bytes, limit },
        CallError::Refused(reason) => TransportError::Refused(reason),
        CallError::Busy { .. } | CallError::Unknown { .. } | CallError::AnswerTooLarge { .. } => {
            TransportError::Unknown(error.to_string())
        }
    }
}

#[async_trait]
impl Transport for FabricPeers {
    async fn call(&self, to: NodeId, call: Call) -> Result<Bytes, TransportError> {
        if beats::is_beat(&call) {
            return self.beats.send(to, call).await;
        }
        if call.kind.is_urgent() && call.body.len() <= URGENT_BYTES_MAX {
            let request = Request::new(call.kind as u8, call.group.0, call.body).urgent();
            return self.fabric.call(to, request, call.deadline).await.map_err(of_call);
        }
        self.send(to, Request::new(call.kind as u8, call.group.0, call.body), call.deadline).await
    }
}

#[async_trait]
impl Peers for FabricPeers {
    async fn ask(&self, to: NodeId, question: Question) -> Result<Bytes, TransportError> {
        let Question { ask, group, body, deadline } = question;
        let (end, mut request) = (Instant::now() + deadline, Request::new(ask as u8, group.0, body));
        if ask.is_bulky() {
            request = request.answer_bytes_max(BODY_BYTES_MAX);
        }
        match rests::opened(self.send(to, request, deadline).await?).map_err(TransportError::Unknown)? {
            Piece::Whole(answer) => Ok(answer),
            Piece::First(first) => self.rest(to, first, end).await,
        }
    }

    async fn set_members(&self, members: BTreeMap<NodeId, Option<String>>) {
        self.forget_guests().await;
        for (node, address) in members.into_iter().filter(|(node, _)| *node != self.me) {
            match address {
                None => self.fabric.remove_peer(node).await,
                Some(address) => {
                    if let Err(error) = self.fabric.set_peer(node, &address).await {
                        tracing::warn!(%node, %address, %error, "this address cannot be dialled");
                    }
                }
            }
        }
    }

    fn is_connected(&self, node: NodeId) -> bool {
        self.fabric.peers().iter().any(|peer| peer.node == node && peer.session.is_some())
    }
}

/// What this node answers others with.
pub(super) struct Answers {
    gateway: Gateway,
    parts: Parts,
    rests: Rests,
}

impl Answers {
    pub(super) fn new(gateway: Gateway) -> Self {
        Self { gateway, parts: Parts::default(), rests: Rests::default() }
    }
}

#[async_trait]
impl Service for Answers {
    async fn call(&self, from: NodeId, kind: u8, group: u32, body: Bytes) -> Result<Bytes, Refused> {
        if kind == BEATS {
            return beats::answer(&self.gateway, body).await.map_err(Refused);
        }
        if kind == MORE {
            return self.rests.next(from, body).map_err(Refused);
        }
        let (kind, body) = match kind {
            PART => match self.parts.take(from, body).map_err(Refused)? {
                Some(whole) => whole,
                None => return Ok(Bytes::new()),
            },
            kind => (kind, body),
        };
        let answer = self.gateway.answer(kind, GroupId(group), body).await.map_err(Refused)?;
        if Ask::from_number(kind).is_none() { Ok(answer) } else { self.rests.first(from, answer).map_err(Refused) }
    }
}
