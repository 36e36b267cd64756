//! A WebSocket: the subscriptions of a [`Session`], spelled as JSON.

use std::collections::BTreeMap;

use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, close_code};
use serde_json::{Value, json};
use watershed_schema::TenantId;

use super::commands::{Command, Subscribe};
use super::said::{self, Said};
use crate::refusal::Refusal;
use crate::subscribe::{Session, Streams, token_of, token_text};

struct Connection {
    socket: WebSocket,
    streams: Streams,
    tenant: TenantId,
    session: Session<Said>,
}

/// The connection is over.
struct Closed;

impl From<axum::Error> for Closed {
    fn from(_: axum::Error) -> Self {
        Self
    }
}

pub(super) async fn run(socket: WebSocket, streams: Streams, tenant: TenantId) {
    let session = Session::new(streams.seats.limits().window_bytes);
    let mut connection = Connection { socket, streams, tenant, session };
    // It ends when the client likes: there is nobody to tell.
    drop(connection.serve().await);
}

impl Connection {
    async fn serve(&mut self) -> Result<(), Closed> {
        self.say(&json!({ "type": "connected" })).await?;
        let drain = self.streams.drain.clone();
        loop {
            tokio::select! {
                biased;
                () = drain.begun() => return self.shut_down().await,
                frame = self.socket.recv() => match frame.ok_or(Closed)?? {
                    Frame::Text(text) => self.obey(text.as_str()).await?,
                    Frame::Close(_) => return Ok(()),
                    // The library answers pings by itself.
                    Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) => {}
                },
                (id, told) = self.session.next() => self.tell(&id, told).await?,
            }
        }
    }

    async fn obey(&mut self, text: &str) -> Result<(), Closed> {
        match Command::parse(text) {
            Ok(Command::Ping) => self.say(&json!({ "type": "pong" })).await,
            Ok(Command::Ack { token }) => {
                // One that is none acknowledges nothing.
                token_of(&token).into_iter().for_each(|token| self.session.acknowledged(&token));
                Ok(())
            }
            Ok(Command::Unsubscribe { id }) => match self.session.unsubscribe(&id) {
                Ok(()) => self.say(&json!({ "type": "unsubscribed", "id": id })).await,
                Err(refusal) => self.refuse(Some(&id), &refusal).await,
            },
            Ok(Command::Subscribe(asked)) => match self.subscribe(*asked).await {
                Ok(()) => Ok(()),
                Err((id, refusal)) => self.refuse(id.as_deref(), &refusal).await,
            },
            Err(refusal) => self.refuse(None, &refusal).await,
        }
    }

    /// Events, or rows of a live query.
    async fn subscribe(&mut self, mut asked: Subscribe) -> Result<(), (Option<String>, Refusal)> {
        let (id, acks) = (asked.id.take(), asked.acks);
        let request = asked.into_request().map_err(|refusal| (id.clone(), refusal))?;
        let id = self.session.admit(id).map_err(|(id, refusal)| (Some(id), refusal))?;
        match said::open(&self.streams, self.tenant.clone(), request).await {
            Ok(told) => {
                self.session.open(id, acks, told);
                Ok(())
            }
            Err(refusal) => Err((Some(id), refusal)),
        }
    }

    async fn tell(&mut self, id: &str, told: Result<Said, Refusal>) -> Result<(), Closed> {
        match told.and_then(|said| Ok((said.to_json(Some(id))?, said.token().to_vec()))) {
            Ok((text, token)) => {
                self.session.sent(id, token, text.len());
                Ok(self.socket.send(Frame::Text(text.into())).await?)
            }
            // A node that drains says so to all of them at once.
            Err(_) if self.streams.drain.has_begun() => Ok(()),
            Err(refusal) => self.refuse(Some(id), &refusal).await,
        }
    }

    /// Each subscription resumes from its token, on another node.
    async fn shut_down(&mut self) -> Result<(), Closed> {
        let tokens: BTreeMap<_, _> = self.session.tokens().iter().map(|(id, token)| (id, token_text(token))).collect();
        self.say(&json!({ "type": "shutdown", "tokens": tokens })).await?;
        let frame = CloseFrame { code: close_code::AWAY, reason: "the node is draining".into() };
        Ok(self.socket.send(Frame::Close(Some(frame))).await?)
    }

    async fn refuse(&mut self, id: Option<&str>, refusal: &Refusal) -> Result<(), Closed> {
        let mut error = json!({ "type": "error", "code": refusal.word(), "message": refusal.to_string() });
        if let Some(id) = id {
            error["id"] = id.into();
        }
        if let Some(wait) = refusal.retry_after() {
            error["retry_after_ms"] = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).into();
        }
        self.say(&error).await
    }

    async fn say(&mut self, what: &Value) -> Result<(), Closed> {
        Ok(self.socket.send(Frame::Text(what.to_string().into())).await?)
    }
}
