//! The deciding part of a peer. Dials, handshakes and connections run in tasks and come back as messages.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use watershed_schema::NodeId;

use super::backoff::Backoff;
use super::{Message, Peer, View};
use crate::config::host_of;
use crate::election::{Candidate, Key, elect};
use crate::handshake::{Dialled, Handshaken, dial};
use crate::home::Home;
use crate::limits::{BACKOFF_MAX, HANDSHAKE_DEADLINE};
use crate::link::Link;
use crate::session::Session;
use crate::{DialError, Refusal, RefusalCode, Security};

/// A session that lasted so long was good: the next dial does not wait.
const LASTED: Duration = BACKOFF_MAX;

pub(super) struct PeerActor;

/// The connection that has the place: claimed, then adopted, then up.
struct Current {
    candidate: Candidate,
    link: Option<Link>,
    up_since: Option<Instant>,
}

pub(super) struct State {
    home: Arc<Home>,
    me: Peer,
    view: watch::Sender<View>,
    current: Option<Current>,
    /// Connections that lost their place and are not gone yet.
    ending: Vec<JoinHandle<()>>,
    dialling: Option<JoinHandle<()>>,
    timer: Option<JoinHandle<()>>,
    backoff: Backoff,
}

impl Actor for PeerActor {
    type Msg = Message;
    type State = State;
    type Arguments = (Arc<Home>, NodeId, (watch::Sender<View>, watch::Receiver<View>));

    async fn pre_start(&self, myself: ActorRef<Message>, arguments: Self::Arguments) -> Result<State, ActorProcessingErr> {
        let (home, node, (view, watched)) = arguments;
        let me = Peer { node, actor: myself, view: watched };
        let (dialling, timer) = (None, None);
        Ok(State { home, me, view, current: None, ending: Vec::new(), dialling, timer, backoff: Backoff::default() })
    }

    async fn handle(&self, _: ActorRef<Message>, message: Message, state: &mut State) -> Result<(), ActorProcessingErr> {
        match message {
            Message::SetAddress(address) => state.set_address(address),
            Message::Dial => state.dial(),
            Message::Dialled(result) => state.dialled(result),
            Message::Claim { candidate, advertised, reply } => {
                let decision = state.claim(candidate, advertised);
                if reply.send(decision).is_err() {
                    state.abandon(candidate.key);
                }
            }
            Message::Abandon(key) => state.abandon(key),
            Message::Adopt(connection) => state.adopt(*connection),
            Message::Rose(key, session) => state.rose(key, session),
            Message::Fell(key, why) => state.fell(key, &why),
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Message>, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.end().await;
        Ok(())
    }
}

impl State {
    fn set_address(&mut self, address: String) {
        self.view.send_modify(|view| view.address = Some(address));
        self.backoff.reset();
        self.dial();
    }

    fn dial(&mut self) {
        let address = self.view.borrow().address.clone();
        let Some(address) = address.filter(|_| self.current.is_none() && self.dialling.is_none()) else { return };
        let (home, me) = (Arc::clone(&self.home), self.me.clone());
        self.dialling = Some(tokio::spawn(async move {
            let result = dial(&home, &address, Some(me.node)).await;
            me.tell(Message::Dialled(result));
        }));
    }

    fn dial_after(&mut self, wait: Duration) {
        let me = self.me.clone();
        let timer = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            me.tell(Message::Dial);
        });
        if let Some(earlier) = self.timer.replace(timer) {
            earlier.abort();
        }
    }

    fn dialled(&mut self, result: Result<Dialled, DialError>) {
        self.dialling = None;
        match result {
            Ok(Dialled::Adopted(_)) => {}
            Ok(Dialled::Superseded(_)) => {
                let wait = self.backoff.next();
                self.dial_after(wait);
            }
            Err(error) => {
                let wait = match &error {
                    // A node that restarted has to wait only until its former life is noticed to be gone.
                    DialError::Refused(refusal) | DialError::RefusedByPeer(refusal) if refusal.code != RefusalCode::Duplicate => {
                        Backoff::refused()
                    }
                    _ => self.backoff.next(),
                };
                self.failed(&error.to_string());
                self.dial_after(wait);
            }
        }
    }

    /// Notes what went wrong; says it once, not at each attempt.
    fn failed(&self, why: &str) {
        let is_new = self.view.borrow().last_error.as_deref() != Some(why);
        if is_new {
            let address = self.view.borrow().address.clone().unwrap_or_default();
            tracing::warn!(node = %self.me.node, %address, "no connection: {why}");
            self.view.send_modify(|view| view.last_error = Some(why.to_owned()));
        }
    }

    fn claim(&mut self, candidate: Candidate, advertised: String) -> Result<(), Refusal> {
        self.is_known_there(&advertised)?;
        elect(self.me.node, self.current.as_ref().map(|current| &current.candidate), &candidate)?;
        self.vacate();
        self.view.send_if_modified(|view| {
            let is_news = view.address.is_none();
            view.address.get_or_insert(advertised);
            is_news
        });
        self.current = Some(Current { candidate, link: None, up_since: None });
        Ok(())
    }

    /// A certificate names a host, the control log says whose host it is: no other node takes this one's number.
    fn is_known_there(&self, advertised: &str) -> Result<(), Refusal> {
        let view = self.view.borrow();
        let known = view.address.as_deref().filter(|known| host_of(known) != host_of(advertised));
        match (&self.home.security, known) {
            (Security::Mtls { .. }, Some(known)) => {
                let reason = format!("node {} is known at {known}, its certificate is for {advertised}", self.me.node);
                Err(Refusal::new(RefusalCode::Identity, reason))
            }
            _ => Ok(()),
        }
    }

    /// Ends the connection that has the place.
    fn vacate(&mut self) {
        self.view.send_if_modified(|view| view.session.take().inspect(|session| session.close()).is_some());
        self.ending.retain(|task| !task.is_finished());
        self.ending.extend(self.current.take().and_then(|current| current.link).map(Link::stop));
    }

    fn holds(&self, key: Key) -> bool {
        self.current.as_ref().is_some_and(|current| current.candidate.key == key)
    }

    fn abandon(&mut self, key: Key) {
        if self.holds(key) && self.current.as_ref().is_some_and(|current| current.link.is_none()) {
            self.current = None;
            let wait = self.backoff.next();
            self.dial_after(wait);
        }
    }

    fn adopt(&mut self, connection: Handshaken) {
        let key = connection.candidate.key;
        if let Some(current) = self.current.as_mut().filter(|current| current.candidate.key == key) {
            let before = std::mem::take(&mut self.ending);
            current.link = Some(Link::start(Arc::clone(&self.home), self.me.clone(), connection, before));
        }
    }

    fn rose(&mut self, key: Key, session: Arc<Session>) {
        let Some(current) = self.current.as_mut().filter(|current| current.candidate.key == key) else {
            return session.close();
        };
        current.up_since = Some(Instant::now());
        let (boot, dialled) = (session.boot, current.candidate.dialled);
        tracing::info!(node = %self.me.node, %boot, dialled, "connected");
        self.view.send_modify(|view| view.session = Some(session));
        if let Some(dialling) = self.dialling.take() {
            dialling.abort();
        }
    }

    fn fell(&mut self, key: Key, why: &str) {
        if !self.holds(key) {
            return;
        }
        let lasted = self.current.as_ref().and_then(|current| current.up_since).is_some_and(|since| since.elapsed() >= LASTED);
        self.current = None;
        self.view.send_modify(|view| {
            view.session = None;
            view.last_error = Some(why.to_owned());
        });
        tracing::warn!(node = %self.me.node, "disconnected: {why}");
        if lasted {
            self.backoff.reset();
        }
        let wait = self.backoff.next();
        self.dial_after(wait);
    }

    async fn end(&mut self) {
        for task in [self.timer.take(), self.dialling.take()].into_iter().flatten() {
            task.abort();
        }
        self.vacate();
        let ended = futures::future::join_all(std::mem::take(&mut self.ending));
        if tokio::time::timeout(HANDSHAKE_DEADLINE, ended).await.is_err() {
            tracing::warn!(node = %self.me.node, "a connection did not end in time");
        }
    }
}
