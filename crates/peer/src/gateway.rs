//! The one actor of a node that others can reach. It hands a call on and never waits for its answer.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use ractor::message::{BoxedDowncastErr, SerializedMessage};
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, pg};
use tokio::task::JoinSet;
use watershed_schema::NodeId;

use crate::wire::{self, Answer, Asked};
use crate::{Refused, Service};

const SCOPE: &str = "watershed";
const GROUP: &str = "gateway";

/// A frame of [`wire`] and where its answer goes.
pub(crate) struct Frame(pub(crate) Vec<u8>, pub(crate) RpcReplyPort<Vec<u8>>);

impl ractor::Message for Frame {
    fn serializable() -> bool {
        true
    }

    fn serialize(self) -> Result<SerializedMessage, BoxedDowncastErr> {
        Ok(SerializedMessage::Call { variant: String::new(), args: self.0, reply: self.1, metadata: None })
    }

    fn deserialize(message: SerializedMessage) -> Result<Self, BoxedDowncastErr> {
        match message {
            SerializedMessage::Call { args, reply, .. } => Ok(Self(args, reply)),
            SerializedMessage::Cast { .. } | SerializedMessage::CallReply(..) => Err(BoxedDowncastErr),
        }
    }
}

/// Whose a token is: given out in the Hello, gone with the session.
#[derive(Default)]
pub(crate) struct Tokens(RwLock<BTreeMap<u64, NodeId>>);

impl Tokens {
    pub(crate) fn give(&self, token: u64, to: NodeId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(token, to);
    }

    pub(crate) fn take(&self, token: u64) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&token);
    }

    fn owner(&self, token: u64) -> Option<NodeId> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&token).copied()
    }
}

/// The gateway of the node at the other end of a session of the actor library.
pub(crate) fn behind(session: u64) -> Option<ActorRef<Frame>> {
    let members = pg::get_scoped_members(&SCOPE.to_owned(), &GROUP.to_owned());
    let found = members.into_iter().find(|cell| matches!(cell.get_id(), ActorId::Remote { node_id, .. } if node_id == session));
    found.map(ActorRef::from)
}

pub(crate) struct Gateway;

pub(crate) struct State {
    service: Arc<dyn Service>,
    tokens: Arc<Tokens>,
    /// Calls that are being answered; as many as the callers' byte permits allow.
    calls: JoinSet<()>,
}

impl Gateway {
    /// Starts it and makes it known to all sessions.
    pub(crate) async fn start(
        service: Arc<dyn Service>,
        tokens: Arc<Tokens>,
        root: ActorCell,
    ) -> Result<ActorRef<Frame>, ractor::SpawnErr> {
        let (gateway, _) = Self::spawn_linked(None, Self, (service, tokens), root).await?;
        pg::join_scoped(SCOPE.to_owned(), GROUP.to_owned(), vec![gateway.get_cell()]);
        Ok(gateway)
    }
}

impl Actor for Gateway {
    type Msg = Frame;
    type State = State;
    type Arguments = (Arc<dyn Service>, Arc<Tokens>);

    async fn pre_start(&self, _: ActorRef<Frame>, (service, tokens): Self::Arguments) -> Result<State, ActorProcessingErr> {
        Ok(State { service, tokens, calls: JoinSet::new() })
    }

    async fn handle(&self, _: ActorRef<Frame>, Frame(frame, reply): Frame, state: &mut State) -> Result<(), ActorProcessingErr> {
        while state.calls.try_join_next().is_some() {}
        let promise = Promise(Some(reply));
        match wire::read(frame.into()) {
            Ok((_, Asked::Heartbeat)) => promise.keep(&Answer::Done(Bytes::new())),
            Ok((token, asked)) => state.answer(token, asked, promise),
            Err(fault) => promise.keep(&Answer::Refused(Refused(fault))),
        }
        Ok(())
    }
}

impl State {
    fn answer(&mut self, token: u64, asked: Asked, promise: Promise) {
        let Some(from) = self.tokens.owner(token) else {
            return promise.keep(&Answer::Refused(Refused("the call is of a session that is over".to_owned())));
        };
        let Asked::Call { kind, group, deadline, answer_bytes_max, body } = asked else { return };
        let service = Arc::clone(&self.service);
        self.calls.spawn(async move {
            let answered = within(deadline, service.call(from, kind, group, body)).await;
            promise.keep(&fit(answered, answer_bytes_max));
        });
    }
}

async fn within(deadline: Duration, call: impl Future<Output = Result<Bytes, Refused>>) -> Answer {
    match tokio::time::timeout(deadline, call).await {
        Ok(Ok(body)) => Answer::Done(body),
        Ok(Err(refused)) => Answer::Refused(refused),
        Err(_) => Answer::Expired,
    }
}

fn fit(answer: Answer, bytes_max: usize) -> Answer {
    match answer {
        Answer::Done(body) if body.len() > bytes_max => Answer::TooLarge(body.len()),
        fits => fits,
    }
}

/// An answer that is owed. Without one the caller's bytes would stay in flight until the session ends, so a service
/// that panics is answered for.
struct Promise(Option<RpcReplyPort<Vec<u8>>>);

impl Promise {
    fn keep(mut self, answer: &Answer) {
        self.reply(answer);
    }

    fn reply(&mut self, answer: &Answer) {
        if let Some(port) = self.0.take()
            && port.send(answer.encode()).is_err()
        {
            tracing::debug!("nobody waits for an answer any more");
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.reply(&Answer::Refused(Refused("the service failed".to_owned())));
    }
}
