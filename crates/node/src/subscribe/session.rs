//! Any number of subscriptions over one connection, opened and closed as the client likes. The faces only spell what is said.

use std::collections::{BTreeMap, VecDeque};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio_stream::StreamMap;

use crate::refusal::Refusal;

/// Subscriptions of one connection.
const SUBSCRIPTIONS_MAX: usize = 100;
/// Longest name of one, bytes.
const ID_BYTES_MAX: usize = 64;

/// The subscriptions of one connection, which say `T`.
pub(crate) struct Session<T> {
    /// Bytes on their way to a client that acknowledges, at most.
    window_bytes: usize,
    open: StreamMap<String, BoxStream<'static, Result<T, Refusal>>>,
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

impl<T> Session<T> {
    pub(crate) fn new(window_bytes: usize) -> Self {
        Self { window_bytes, open: StreamMap::new(), tokens: BTreeMap::new(), window: Window::default(), named: 0 }
    }

    /// The name of one that may be opened, in all that is said of it; without one it gets a number.
    pub(crate) fn admit(&mut self, id: Option<String>) -> Result<String, (String, Refusal)> {
        let id = id.unwrap_or_else(|| {
            self.named += 1;
            self.named.to_string()
        });
        match self.refusal(&id) {
            Some(reason) => Err((id, Refusal::Invalid(reason))),
            None => Ok(id),
        }
    }

    fn refusal(&self, id: &str) -> Option<String> {
        if id.len() > ID_BYTES_MAX {
            return Some(format!("id has {} bytes, limit {ID_BYTES_MAX}", id.len()));
        }
        if self.open.contains_key(id) {
            return Some(format!("id: there is a subscription `{id}` already"));
        }
        let is_full = self.open.len() >= SUBSCRIPTIONS_MAX;
        is_full.then(|| format!("a connection has {SUBSCRIPTIONS_MAX} subscriptions, which is the limit"))
    }

    /// From now on it says what comes of `told`, the first of which is that it is set up. A client that acknowledges (`acks`) has
    /// no more than a window of bytes on its way.
    pub(crate) fn open(&mut self, id: String, acks: bool, told: BoxStream<'static, Result<T, Refusal>>) {
        self.window.acks |= acks;
        self.open.insert(id, told);
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
    pub(crate) async fn next(&mut self) -> (String, Result<T, Refusal>) {
        if self.window.bytes >= self.window_bytes {
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
