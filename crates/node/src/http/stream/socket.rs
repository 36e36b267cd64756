//! A WebSocket: any number of subscriptions over one connection, opened and closed as the client likes.

use std::collections::{BTreeMap, VecDeque};

use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, close_code};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde_json::{Value, json};
use tokio_stream::StreamMap;
use watershed_schema::TenantId;

use super::commands::{Command, Subscribe};
use crate::refusal::Refusal;
use crate::subscribe::{Message, Streams};

/// Subscriptions of one connection.
const SUBSCRIPTIONS_MAX: usize = 100;
/// Longest name of one, bytes.
const ID_BYTES_MAX: usize = 64;

type Told = BoxStream<'static, Result<Message, Refusal>>;

struct Connection {
    socket: WebSocket,
    streams: Streams,
    tenant: TenantId,
    open: StreamMap<String, Told>,
    /// Where each subscription resumes.
    tokens: BTreeMap<String, String>,
    window: Window,
    named: u64,
}

/// Bytes on their way to a client that acknowledges, by the token that they end with.
#[derive(Default)]
struct Window {
    acks: bool,
    bytes: usize,
    sent: VecDeque<(String, usize)>,
}

/// The connection is over.
struct Closed;

impl From<axum::Error> for Closed {
    fn from(_: axum::Error) -> Self {
        Self
    }
}

pub(super) async fn run(socket: WebSocket, streams: Streams, tenant: TenantId) {
    let mut connection = Connection {
        socket,
        streams,
        tenant,
        open: StreamMap::new(),
        tokens: BTreeMap::new(),
        window: Window::default(),
        named: 0,
    };
    // It ends when the client likes: there is nobody to tell.
    drop(connection.serve().await);
}

impl Connection {
    async fn serve(&mut self) -> Result<(), Closed> {
        self.say(&json!({ "type": "connected" })).await?;
        let drain = self.streams.drain.clone();
        let window_bytes = self.streams.seats.limits().window_bytes;
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
                Some((id, told)) = self.open.next(), if self.window.bytes < window_bytes => self.tell(&id, told).await?,
            }
        }
    }

    async fn obey(&mut self, text: &str) -> Result<(), Closed> {
        match Command::parse(text) {
            Ok(Command::Ping) => self.say(&json!({ "type": "pong" })).await,
            Ok(Command::Ack { token }) => {
                self.window.acknowledged(&token);
                Ok(())
            }
            Ok(Command::Unsubscribe { id }) => {
                let was_there = self.open.remove(&id).is_some();
                self.tokens.remove(&id);
                if !was_there {
                    let refusal = Refusal::Invalid(format!("id: there is no subscription `{id}`"));
                    return self.refuse(Some(&id), &refusal).await;
                }
                self.say(&json!({ "type": "unsubscribed", "id": id })).await
            }
            Ok(Command::Subscribe(asked)) => self.subscribe(asked).await,
            Err(refusal) => self.refuse(None, &refusal).await,
        }
    }

    async fn subscribe(&mut self, asked: Subscribe) -> Result<(), Closed> {
        let id = asked.id.clone().unwrap_or_else(|| {
            self.named += 1;
            self.named.to_string()
        });
        match self.opened(&id, asked).await {
            // The first thing that it says is `subscribed`.
            Ok(told) => drop(self.open.insert(id, told)),
            Err(refusal) => return self.refuse(Some(&id), &refusal).await,
        }
        Ok(())
    }

    async fn opened(&mut self, id: &str, asked: Subscribe) -> Result<Told, Refusal> {
        if id.len() > ID_BYTES_MAX {
            return Err(Refusal::Invalid(format!("id has {} bytes, limit {ID_BYTES_MAX}", id.len())));
        }
        if self.open.contains_key(id) {
            return Err(Refusal::Invalid(format!("id: there is a subscription `{id}` already")));
        }
        if self.open.len() >= SUBSCRIPTIONS_MAX {
            let reason = format!("a connection has {SUBSCRIPTIONS_MAX} subscriptions, which is the limit");
            return Err(Refusal::Invalid(reason));
        }
        self.window.acks |= asked.acks;
        let stream = self.streams.open(self.tenant.clone(), asked.into_request()?).await?;
        Ok(stream.messages(self.streams.drain.clone()).boxed())
    }

    async fn tell(&mut self, id: &str, told: Result<Message, Refusal>) -> Result<(), Closed> {
        match told.and_then(|message| Ok((message.to_json(Some(id))?, message.token_text()))) {
            Ok((text, token)) => {
                self.tokens.insert(id.to_owned(), token.clone());
                self.window.sent(token, text.len());
                Ok(self.socket.send(Frame::Text(text.into())).await?)
            }
            // A node that drains says so to all of them at once.
            Err(_) if self.streams.drain.has_begun() => Ok(()),
            Err(refusal) => {
                self.open.remove(id);
                self.refuse(Some(id), &refusal).await
            }
        }
    }

    /// Each subscription resumes from its token, on another node.
    async fn shut_down(&mut self) -> Result<(), Closed> {
        self.say(&json!({ "type": "shutdown", "tokens": self.tokens })).await?;
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

impl Window {
    fn sent(&mut self, token: String, bytes: usize) {
        if self.acks {
            self.bytes += bytes;
            self.sent.push_back((token, bytes));
        }
    }

    /// A token stands for everything that was sent before it.
    fn acknowledged(&mut self, token: &str) {
        let Some(place) = self.sent.iter().position(|(sent, _)| sent == token) else { return };
        self.bytes -= self.sent.drain(..=place).map(|(_, bytes)| bytes).sum::<usize>();
    }
}
