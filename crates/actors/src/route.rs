//! To the leader of a group, wherever it is: here, or by a call.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use watershed_cluster::{ControlView, Group, TransportError};
use watershed_schema::proto::peer_refusal::Reason;
use watershed_schema::proto::{PeerAnswer, PeerRefusal};
use watershed_schema::{GroupId, NodeId};

use crate::{Ask, Gateway, Peers, Question};

/// How long to wait for news of a leader before it is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(10);

/// A group as seen from this node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) me: NodeId,
    pub(crate) id: GroupId,
    pub(crate) gateway: Gateway,
    pub(crate) peers: Arc<dyn Peers>,
    /// Who has a replica; of the control group everybody.
    view: Option<watch::Receiver<Arc<ControlView>>>,
    /// Who is to be asked next where no replica here knows.
    guess: Arc<Mutex<Option<NodeId>>>,
}

/// Why another node did not do what it was asked.
#[derive(Clone, Debug)]
pub(crate) enum Unanswered {
    /// The node said no.
    Refused(PeerRefusal),
    /// Nothing was asked.
    Unreachable(String),
    /// It may have happened.
    Unknown(String),
}

impl Unanswered {
    /// Whether nothing happened and another node, or the same one later, may do it.
    pub(crate) fn is_elsewhere(&self) -> bool {
        match self {
            Self::Refused(refusal) => matches!(refusal.reason(), Reason::NotLeader | Reason::Stopped),
            Self::Unreachable(_) => true,
            Self::Unknown(_) => false,
        }
    }
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(refusal) => f.write_str(&refusal.text),
            Self::Unreachable(reason) | Self::Unknown(reason) => f.write_str(reason),
        }
    }
}

impl Route {
    pub(crate) fn new(
        id: GroupId,
        gateway: Gateway,
        peers: Arc<dyn Peers>,
        view: Option<watch::Receiver<Arc<ControlView>>>,
    ) -> Self {
        Self { me: gateway.me(), id, gateway, peers, view, guess: Arc::default() }
    }

    /// This node's replica.
    pub(crate) fn group(&self) -> Option<Group> {
        self.gateway.group(self.id)
    }

    /// Who leads, as far as is known here; where nothing is known, somebody who may know. A replica without a vote may have
    /// been taken out: what others say counts more.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        let group = self.group();
        let (here, votes) = (group.as_ref().and_then(Group::leader), group.is_some_and(|group| group.votes()));
        let known = if votes { here.or_else(|| self.told()) } else { self.told().or(here) };
        known.or_else(|| self.holder_after(None))
    }

    pub(crate) fn is_leader(&self) -> bool {
        self.group().is_some_and(|group| group.leader() == Some(self.me))
    }

    fn told(&self) -> Option<NodeId> {
        *self.guess.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next of the other nodes with a replica, those with a connection first.
    fn holder_after(&self, node: Option<NodeId>) -> Option<NodeId> {
        let view = self.view.as_ref()?.borrow().clone();
        let others: Vec<NodeId> =
            view.replicas_of(self.id.shard()?).iter().copied().filter(|holder| *holder != self.me).collect();
        let at = node.and_then(|node| others.iter().position(|other| *other == node)).map_or(0, |at| at + 1);
        let in_turn = || others.iter().cycle().skip(at).take(others.len()).copied();
        in_turn().find(|other| self.peers.is_connected(*other)).or_else(|| in_turn().next())
    }

    /// Whom to ask next, after this one answered so.
    fn learn(&self, from: NodeId, answer: &Result<PeerAnswer, Unanswered>) {
        let next = match answer {
            Ok(_) => Some(from),
            // Whether this node leads it knows best.
            Err(Unanswered::Refused(refusal)) if refusal.leader > 0 && refusal.leader != self.me.0 => {
                Some(NodeId(refusal.leader))
            }
            Err(error) if error.is_elsewhere() || matches!(error, Unanswered::Unknown(_)) => self.holder_after(Some(from)),
            Err(_) => return,
        };
        *self.guess.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// Waits for another leader than `not`, a little while.
    async fn news(&self, not: Option<NodeId>) {
        if let Some(mut watch) = self.group().map(|group| group.watch_leader()) {
            let other = async { while watch.current().leader == not && watch.changed().await.is_some() {} };
            if timeout(LOOK_AGAIN, other).await.is_ok() && not.is_none() {
                return;
            }
        }
        sleep(PAUSE).await;
    }

    /// Asks a node that may lead.
    pub(crate) async fn ask(&self, to: NodeId, ask: Ask, body: Bytes, deadline: Duration) -> Result<PeerAnswer, Unanswered> {
        let answer = self.asked(to, ask, body, deadline).await;
        self.learn(to, &answer);
        answer
    }

    /// Asks a node, whether it leads or not.
    pub(crate) async fn asked(&self, to: NodeId, ask: Ask, body: Bytes, deadline: Duration) -> Result<PeerAnswer, Unanswered> {
        let question = Question { ask, group: self.id, body, deadline };
        let answered = self.peers.ask(to, question).await.map_err(|error| match error {
            TransportError::Unreachable(reason) => Unanswered::Unreachable(reason),
            error @ TransportError::TooLarge { .. } => Unanswered::Refused(PeerRefusal {
                reason: Reason::Invalid.into(),
                text: error.to_string(),
                ..PeerRefusal::default()
            }),
            TransportError::Unknown(reason) | TransportError::Refused(reason) => Unanswered::Unknown(reason),
        })?;
        let answer = PeerAnswer::decode(answered).map_err(|error| Unanswered::Unknown(error.to_string()))?;
        match answer.refusal {
            Some(refusal) => Err(Unanswered::Refused(refusal)),
            None => Ok(answer),
        }
    }

    /// Tries `attempt` with whoever leads until it succeeds, fails for good, or `deadline` has passed. `attempt` says
    /// whether it may be tried again.
    pub(crate) async fn until_led<T, E, F>(
        &self,
        deadline: Duration,
        nobody: impl Fn() -> E,
        mut attempt: impl FnMut(NodeId, Duration) -> F,
        may_try_again: impl Fn(&E) -> bool,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let end = Instant::now() + deadline;
        loop {
            let leader = self.leader();
            let left = end.saturating_duration_since(Instant::now());
            let done = match leader {
                Some(leader) => attempt(leader, left).await,
                None => Err(nobody()),
            };
            match done {
                Err(error) if may_try_again(&error) && Instant::now() < end => self.news(leader).await,
                done => return done,
            }
        }
    }
}
