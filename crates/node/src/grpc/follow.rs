//! `SubscribeService.Follow`: the subscriptions of a [`Session`], spelled as protobuf.

use axum::Router;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use prost::Message as _;
use tonic::{Request, Status, Streaming};
use watershed_schema::TenantId;
use watershed_schema::proto::follow_request::Command;
use watershed_schema::proto::{self, follow_response};

use super::Context;
use super::raw::streaming;
use crate::refusal::Refusal;
use crate::subscribe::{Message, Session, Streams};
use crate::tenant;

pub(super) fn routes(context: &Context) -> Router {
    let streams = context.streams.clone();
    streaming("/watershed.v1.SubscribeService/Follow", move |requests| follow(streams.clone(), requests))
}

/// A client and its subscriptions.
struct Connection {
    /// None once the client has said its last command: what it has subscribed to goes on.
    commands: Option<Streaming<Bytes>>,
    session: Session<Message>,
    streams: Streams,
    tenant: TenantId,
}

async fn follow(
    streams: Streams,
    requests: Request<Streaming<Bytes>>,
) -> Result<impl Stream<Item = Result<Bytes, Status>> + Send + 'static, Status> {
    streams.drain.refuse_if_begun()?;
    let tenant = tenant::of(&requests.metadata().clone().into_headers())?;
    let session = Session::new(streams.seats.limits().window_bytes);
    let connection = Connection { commands: Some(requests.into_inner()), session, streams, tenant };
    Ok(stream::unfold(Some(connection), |connection| async move {
        let mut connection = connection?;
        match connection.next().await {
            Ok(said) => Some((Ok(said), Some(connection))),
            Err(status) => Some((Err(status), None)),
        }
    }))
}

impl Connection {
    /// The next thing to say.
    async fn next(&mut self) -> Result<Bytes, Status> {
        let drain = self.streams.drain.clone();
        loop {
            let commands = &mut self.commands;
            let command = async {
                match commands {
                    Some(commands) => commands.message().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = drain.begun() => return Err(Refusal::Unavailable("the node is draining, resume elsewhere".to_owned()).into()),
                command = command => match command? {
                    None => self.commands = None,
                    Some(bytes) => if let Some(said) = self.obey(bytes).await {
                        return Ok(said);
                    },
                },
                (id, told) = self.session.next() => return Ok(self.told(id, told)),
            }
        }
    }

    /// The answer, where there is one at once.
    async fn obey(&mut self, bytes: Bytes) -> Option<Bytes> {
        let asked = proto::FollowRequest::decode(bytes).map_err(|error| format!("request is not decodable: {error}"));
        match asked.and_then(|asked| asked.command.ok_or_else(|| "command is missing".to_owned())) {
            Err(reason) => Some(refused(String::new(), &Refusal::Invalid(reason))),
            Ok(Command::AckToken(token)) => {
                self.session.acknowledged(&token);
                None
            }
            Ok(Command::Unsubscribe(id)) => Some(match self.session.unsubscribe(&id) {
                Ok(()) => said(id, follow_response::Said::Unsubscribed(true)),
                Err(refusal) => refused(id, &refusal),
            }),
            Ok(Command::Subscribe(asked)) => self.subscribe(asked).await.err().map(|(id, refusal)| refused(id, &refusal)),
        }
    }

    async fn subscribe(&mut self, asked: proto::FollowSubscribe) -> Result<(), (String, Refusal)> {
        let proto::FollowSubscribe { id, request, acks } = asked;
        let id = self.session.admit(Some(id).filter(|id| !id.is_empty()))?;
        match self.streams.open(self.tenant.clone(), request.unwrap_or_default()).await {
            Ok(stream) => {
                self.session.open(id, acks, stream.messages(self.streams.drain.clone()).boxed());
                Ok(())
            }
            Err(refusal) => Err((id, refusal)),
        }
    }

    fn told(&mut self, id: String, told: Result<Message, Refusal>) -> Bytes {
        match told {
            Ok(message) => {
                let bytes = message.to_proto_of(&id);
                self.session.sent(&id, message.token, bytes.len());
                bytes
            }
            Err(refusal) => refused(id, &refusal),
        }
    }
}

fn refused(id: String, refusal: &Refusal) -> Bytes {
    said(id, follow_response::Said::Refused(refusal.to_proto()))
}

fn said(id: String, said: follow_response::Said) -> Bytes {
    Bytes::from(proto::FollowResponse { id, said: Some(said) }.encode_to_vec())
}
