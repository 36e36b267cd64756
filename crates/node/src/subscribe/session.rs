//! Any number of subscriptions over one connection, opened and closed as the client likes. The faces only spell what is said.

use std::collections::{BTreeMap, VecDeque};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio_stream::StreamMap;
use watershed_schema::{TenantId, proto};

use super::{Message, Streams};
use crate::refusal::Refusal;

/// Subscriptions of one connection.
const SUBSCRIPTIONS_MAX: usize = 100;
/// Longest name of one, bytes.
const ID_BYTES_MAX: usize = 64;

type Told = BoxStream<'static, Result<Message, Refusal>>;

/// What a client asks for.
pub(crate) struct Asked {
    /// Its name in what the server says; without one it gets a number.
    pub(crate) id: Option<String>,
    pub(crate) request: proto::SubscribeRequest,
    /// Whether the client acknowledges: then no more than a window of bytes is on its way.
    pub(crate) acks: bool,
}

/// The subscriptions of one connection.
pub(crate) struct Session {
    streams: Streams,
    tenant: TenantId,
    open: StreamMap<String, Told>,
    /// Where each subscription resumes.
    tokens: BTreeMap<String, Vec<u8>>,
    window: Window,
    named: u64,
}

/// Bytes on their way to a client that acknowledges, by the token that they end with.
#[derive(Default)]
struct Window {
    acks: bool,
    bytes: usize,
    sent: VecDeque<(Vec<u8>, usize)>,
}

impl Session {
    pub(crate) fn new(streams: Streams, tenant: TenantId) -> Self {
        Self { streams, tenant, open: StreamMap::new(), tokens: BTreeMap::new(), window: Window::default(), named: 0 }
    }

    /// Opens one. The first thing that it says is `subscribed`; a refusal comes with its name.
    pub(crate) async fn subscribe(&mut self, asked: Asked) -> Result<(), (String, Refusal)> {
        let id = asked.id.clone().unwrap_or_else(|| {
            self.named += 1;
            self.named.to_string()
        });
        match self.opened(&id, asked).await {
            Ok(told) => {
                self.open.insert(id, told);
                Ok(())
            }
            Err(refusal) => Err((id, refusal)),
        }
    }

    async fn opened(&mut self, id: &str, asked: Asked) -> Result<Told, Refusal> {
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
        let stream = self.streams.open(self.tenant.clone(), asked.request).await?;
        Ok(stream.messages(self.streams.drain.clone()).boxed())
    }

    pub(crate) fn unsubscribe(&mut self, id: &str) -> Result<(), Refusal> {
        self.tokens.remove(id);
        let there_is_none = || Refusal::Invalid(format!("id: there is no subscription `{id}`"));
        self.open.remove(id).map(drop).ok_or_else(there_is_none)
    }

    /// A token stands for everything that was sent before it.
    pub(crate) fn acknowledged(&mut self, token: &[u8]) {
        self.window.acknowledged(token);
    }

    /// What one of them says next, with its name; one that says a refusal is over. Waits while there is nothing, or too much
    /// on its way. Dropped, it has taken nothing.
    pub(crate) async fn next(&mut self) -> (String, Result<Message, Refusal>) {
        if self.window.bytes >= self.streams.seats.limits().window_bytes {
            return std::future::pending().await;
        }
        match self.open.next().await {
            Some((id, Err(refusal))) => {
                self.open.remove(&id);
                (id, Err(refusal))
            }
            Some(told) => told,
            None => std::future::pending().await,
        }
    }

    /// Notes that a message is on its way, as so many bytes.
    pub(crate) fn sent(&mut self, id: &str, token: Vec<u8>, bytes: usize) {
        self.window.sent(token.clone(), bytes);
        self.tokens.insert(id.to_owned(), token);
    }

    /// Where each of them resumes.
    pub(crate) fn tokens(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.tokens
    }
}

impl Window {
    fn sent(&mut self, token: Vec<u8>, bytes: usize) {
        if self.acks {
            self.bytes += bytes;
            self.sent.push_back((token, bytes));
        }
    }

    fn acknowledged(&mut self, token: &[u8]) {
        let Some(place) = self.sent.iter().position(|(sent, _)| sent == token) else { return };
        self.bytes -= self.sent.drain(..=place).map(|(_, bytes)| bytes).sum::<usize>();
    }
}
