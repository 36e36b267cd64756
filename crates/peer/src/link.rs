//! One connection in the hands of the actor library: from hand-over to its end, with heartbeats between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ractor::ActorRef;
use ractor_cluster::node::NodeServerSessionInformation;
use ractor_cluster::{NodeEventSubscription, NodeServerMessage, NodeSessionMessage};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::gateway;
use crate::handshake::Handshaken;
use crate::home::Home;
use crate::limits::{HANDSHAKE_DEADLINE, HEARTBEAT_INTERVAL, HEARTBEAT_MISSES_MAX};
use crate::peer::Peer;
use crate::session::Session;
use crate::socket::Valve;

/// What the actor library says of a connection that was handed to it.
#[derive(Clone)]
enum Phase {
    HandedOver,
    Opened(ActorRef<NodeSessionMessage>),
    /// Groups are exchanged; the number is the library's own for the session.
    Ready(ActorRef<NodeSessionMessage>, u64),
    Closed,
}

/// Connections that the library has, by their labels.
#[derive(Default)]
pub(crate) struct Arrivals(Mutex<BTreeMap<String, watch::Sender<Phase>>>);

impl Arrivals {
    fn expect(&self, label: &str) -> watch::Receiver<Phase> {
        let (sender, receiver) = watch::channel(Phase::HandedOver);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(label.to_owned(), sender);
        receiver
    }

    fn forget(&self, label: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(label);
    }

    fn tell(&self, label: &str, phase: Phase) {
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(label) {
            sender.send_replace(phase);
        }
    }
}

/// Hears the library's events.
pub(crate) struct Events(pub(crate) Arc<Arrivals>);

impl NodeEventSubscription for Events {
    fn node_session_opened(&self, session: NodeServerSessionInformation) {
        self.0.tell(&session.peer_addr, Phase::Opened(session.actor));
    }

    fn node_session_disconnected(&self, session: NodeServerSessionInformation) {
        self.0.tell(&session.peer_addr, Phase::Closed);
    }

    fn node_session_authenticated(&self, _: NodeServerSessionInformation) {}

    fn node_session_ready(&self, session: NodeServerSessionInformation) {
        self.0.tell(&session.peer_addr, Phase::Ready(session.actor, session.node_id));
    }
}

/// The task that keeps a connection.
pub(crate) struct Link {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Link {
    /// Takes a connection over, after the tasks in `before` have ended: the library chooses by chance between two
    /// sessions of the same pair, so it never sees two.
    pub(crate) fn start(home: Arc<Home>, peer: Peer, connection: Handshaken, before: Vec<JoinHandle<()>>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            for ended in before {
                if let Err(error) = ended.await {
                    tracing::error!(%error, "a connection's task failed");
                }
            }
            let key = connection.candidate.key;
            let why = keep(&home, &peer, connection, stopped).await;
            peer.fell(key, why);
        });
        Self { stop, task }
    }

    /// Asks it to end; the task is done when the library has let the connection go.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        self.stop.send_replace(true);
        self.task
    }
}

/// Keeps a connection until it breaks, its heart stops, or it is told to end. Says why.
async fn keep(home: &Home, peer: &Peer, connection: Handshaken, mut stopped: watch::Receiver<bool>) -> String {
    let Handshaken { wire, candidate, peer: node, token_out, token_in } = connection;
    let label = format!("n{node}-{}#{}.{}", candidate.boot, candidate.key.attempt, candidate.key.dialler);
    let mut phases = home.arrivals.expect(&label);
    home.tokens.give(token_in, node);
    let (valve, stream) = wire.into_external(label.clone());
    let handed = home.sessions.cast(NodeServerMessage::ConnectionOpenedExternal { stream, is_server: !candidate.dialled });
    let why = match handed {
        Err(error) => format!("the actor library is gone: {error}"),
        Ok(()) => tokio::select! {
            why = live(peer, &mut phases, (candidate, token_out)) => why,
            _ = stopped.wait_for(|stopped| *stopped) => "told to end".to_owned(),
        },
    };
    home.tokens.take(token_in);
    end(&mut phases, &valve).await;
    home.arrivals.forget(&label);
    why
}

async fn live(peer: &Peer, phases: &mut watch::Receiver<Phase>, whose: (crate::election::Candidate, u64)) -> String {
    let (candidate, token) = whose;
    let ready = phases.wait_for(|phase| matches!(phase, Phase::Ready(..) | Phase::Closed));
    let phase = match timeout(HANDSHAKE_DEADLINE, ready).await {
        Ok(Ok(phase)) => phase.clone(),
        Ok(Err(_)) | Err(_) => return format!("the session was not ready within {HANDSHAKE_DEADLINE:?}"),
    };
    let Phase::Ready(_, number) = phase else { return "the session closed before it was ready".to_owned() };
    let Some(gateway) = gateway::behind(number) else { return "the peer has no gateway".to_owned() };
    let session = Arc::new(Session::new(peer.node(), candidate.boot, token, gateway));
    peer.rose(candidate.key, Arc::clone(&session));
    let why = tokio::select! {
        () = beat(&session) => format!("{HEARTBEAT_MISSES_MAX} heartbeats without an answer"),
        _ = phases.wait_for(|phase| matches!(phase, Phase::Closed)) => "the connection broke".to_owned(),
    };
    session.close();
    why
}

/// Ends when the peer does not answer.
async fn beat(session: &Session) {
    let mut ticks = interval(HEARTBEAT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if session.heartbeat().await >= HEARTBEAT_MISSES_MAX {
            return;
        }
    }
}

/// Makes the library let go, and waits until it has.
async fn end(phases: &mut watch::Receiver<Phase>, valve: &Valve) {
    valve.close();
    let actor = match &*phases.borrow() {
        Phase::Opened(actor) | Phase::Ready(actor, _) => Some(actor.clone()),
        Phase::HandedOver | Phase::Closed => None,
    };
    if let Some(actor) = actor {
        actor.stop(None);
    }
    let closed = phases.wait_for(|phase| matches!(phase, Phase::Closed));
    if timeout(HANDSHAKE_DEADLINE, closed).await.is_err() {
        tracing::warn!("the actor library did not end a session in time");
    }
}
