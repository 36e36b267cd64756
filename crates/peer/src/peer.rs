//! One other node: the actor that decides which connection is used and dials when there is none.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ractor::rpc::CallResult;
use ractor::{Actor as _, ActorRef, RpcReplyPort};
use tokio::sync::watch;
use watershed_schema::NodeId;

use crate::election::{Candidate, Key};
use crate::handshake::{Dialled, Handshaken};
use crate::hello::BootId;
use crate::home::Home;
use crate::session::Session;
use crate::{DialError, Refusal, RefusalCode};

mod actor;
mod backoff;

const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// What is known of another node.
#[derive(Clone, Debug)]
pub struct PeerState {
    /// Which.
    pub node: NodeId,
    /// `host:port` at which it is dialled, if one is known.
    pub address: Option<String>,
    /// The session, if it is connected.
    pub session: Option<SessionState>,
    /// Why the last connection ended or was not made; `None` when nothing went wrong yet.
    pub last_error: Option<String>,
}

/// A session that is up.
#[derive(Clone, Debug)]
pub struct SessionState {
    /// The peer's life.
    pub boot: BootId,
    /// When the session was ready.
    pub connected_since: SystemTime,
    /// Round trip of the last heartbeat that was answered.
    pub rtt: Option<Duration>,
    /// Heartbeats without an answer since then.
    pub misses: u32,
}

enum Message {
    /// The address at which the peer is to be dialled.
    SetAddress(String),
    /// It may be time to dial.
    Dial,
    /// A dial has ended.
    Dialled(Result<Dialled, DialError>),
    /// A connection in the handshake asks for the place.
    Claim { candidate: Candidate, advertised: String, reply: RpcReplyPort<Result<(), Refusal>> },
    /// The handshake failed after the claim.
    Abandon(Key),
    /// The handshake is done.
    Adopt(Box<Handshaken>),
    /// Calls can be made.
    Rose(Key, Arc<Session>),
    /// The connection is over, and why.
    Fell(Key, String),
}

impl ractor::Message for Message {}

/// What others see of the actor's state.
#[derive(Default)]
struct View {
    address: Option<String>,
    session: Option<Arc<Session>>,
    last_error: Option<String>,
}

/// A handle of the actor; cheap to clone.
#[derive(Clone)]
pub(crate) struct Peer {
    node: NodeId,
    actor: ActorRef<Message>,
    view: watch::Receiver<View>,
}

impl Peer {
    pub(crate) async fn start(home: Arc<Home>, node: NodeId) -> Result<Self, ractor::SpawnErr> {
        let (view, watched) = watch::channel(View::default());
        let root = home.root.clone();
        let (actor, _) =
            actor::PeerActor::spawn_linked(None, actor::PeerActor, (home, node, (view, watched.clone())), root).await?;
        Ok(Self { node, actor, view: watched })
    }

    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.view.borrow().session.clone()
    }

    /// Waits until there is a session. `false` when the peer is removed before.
    pub(crate) async fn connected(&self) -> bool {
        self.view.clone().wait_for(|view| view.session.is_some()).await.is_ok()
    }

    pub(crate) fn state(&self) -> PeerState {
        let view = self.view.borrow();
        let session = view.session.as_ref().map(|session| SessionState {
            boot: session.boot,
            connected_since: session.since,
            rtt: session.rtt(),
            misses: session.misses(),
        });
        PeerState { node: self.node, address: view.address.clone(), session, last_error: view.last_error.clone() }
    }

    pub(crate) fn set_address(&self, address: String) {
        self.tell(Message::SetAddress(address));
    }

    pub(crate) async fn claim(&self, candidate: Candidate, advertised: String) -> Result<(), Refusal> {
        match self.actor.call(|reply| Message::Claim { candidate, advertised, reply }, None).await {
            Ok(CallResult::Success(decision)) => decision,
            Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => {
                Err(Refusal::new(RefusalCode::Removed, format!("node {} was removed", self.node)))
            }
        }
    }

    pub(crate) fn adopt(&self, connection: Handshaken) {
        self.tell(Message::Adopt(Box::new(connection)));
    }

    pub(crate) fn abandon(&self, key: Key) {
        self.tell(Message::Abandon(key));
    }

    pub(crate) fn rose(&self, key: Key, session: Arc<Session>) {
        self.tell(Message::Rose(key, session));
    }

    pub(crate) fn fell(&self, key: Key, why: String) {
        self.tell(Message::Fell(key, why));
    }

    /// Ends the actor and its connection.
    pub(crate) async fn stop(&self) {
        if let Err(error) = self.actor.stop_and_wait(None, Some(STOP_DEADLINE)).await {
            tracing::warn!(node = %self.node, %error, "the peer's actor did not end in time");
        }
    }

    fn tell(&self, message: Message) {
        if self.actor.cast(message).is_err() {
            tracing::debug!(node = %self.node, "the peer's actor has ended");
        }
    }
}
