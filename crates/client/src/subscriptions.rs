//! Several subscriptions over one stream, which come and go, and survive the loss of the connection.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::{BoxStream, Stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use watershed_schema::proto::follow_request::Command as Wire;
use watershed_schema::proto::follow_response::Said;
use watershed_schema::proto::{FollowRequest, FollowResponse, FollowSubscribe};

use crate::backoff::Backoff;
use crate::client::Service;
use crate::position::Position;
use crate::services::subscribe_service_client::SubscribeServiceClient;
use crate::subscription::Item;
use crate::{Error, Filter, OnLag, Start};

/// Commands that wait for [`Subscriptions`] to be polled.
const COMMANDS_MAX: usize = 64;

/// News of a subscription.
#[derive(Debug)]
pub enum Change {
    /// The server follows it.
    Subscribed,
    /// Events, or news that some are lost.
    Events(Item),
    /// The server follows it no longer, as was asked.
    Unsubscribed,
    /// The server does not follow it, and why; the others go on.
    Refused(Error),
}

/// Opens and closes subscriptions. Cheap to clone; when the last one is gone, those that are open go on.
#[derive(Clone, Debug)]
pub struct Subscriber {
    commands: mpsc::Sender<Command>,
}

/// What comes of the subscriptions, with their names; ends only with an error.
pub struct Subscriptions {
    changes: BoxStream<'static, Result<(String, Change), Error>>,
}

impl std::fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscriptions")
    }
}

impl Stream for Subscriptions {
    type Item = Result<(String, Change), Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.changes.as_mut().poll_next(context)
    }
}

enum Command {
    Subscribe(String, Box<Position>),
    Unsubscribe(String),
}

impl Subscriber {
    /// Follows events under a name; what became of it comes as a [`Change`]. A name that is there already is refused.
    pub async fn subscribe(&self, id: &str, filter: Filter, start: Start) {
        self.subscribe_with(id, filter, start, OnLag::CatchUp).await;
    }

    /// Like [`Self::subscribe`], and says what happens when the stream falls behind.
    pub async fn subscribe_with(&self, id: &str, filter: Filter, start: Start, on_lag: OnLag) {
        self.tell(Command::Subscribe(id.to_owned(), Box::new(Position::new(filter, start, on_lag)))).await;
    }

    /// Follows these no longer.
    pub async fn unsubscribe(&self, id: &str) {
        self.tell(Command::Unsubscribe(id.to_owned())).await;
    }

    /// Without anybody who reads what comes there is nothing to do.
    async fn tell(&self, command: Command) {
        drop(self.commands.send(command).await);
    }
}

pub(crate) fn open(service: SubscribeServiceClient<Service>) -> (Subscriber, Subscriptions) {
    let (commands, told) = mpsc::channel(COMMANDS_MAX);
    let follower = Follower {
        service,
        commands: Some(told),
        open: BTreeMap::new(),
        closing: BTreeSet::new(),
        connection: None,
        backoff: Backoff::default(),
        failed: false,
    };
    (Subscriber { commands }, Subscriptions { changes: Box::pin(futures::stream::unfold(follower, Follower::step)) })
}

struct Follower {
    service: SubscribeServiceClient<Service>,
    commands: Option<mpsc::Receiver<Command>>,
    /// What is followed, wherever the connection is.
    open: BTreeMap<String, Position>,
    /// What the server was told to close and has not answered yet.
    closing: BTreeSet<String>,
    connection: Option<Connection>,
    backoff: Backoff,
    failed: bool,
}

struct Connection {
    requests: mpsc::Sender<FollowRequest>,
    responses: tonic::Streaming<FollowResponse>,
}

impl Follower {
    async fn step(mut self) -> Option<(Result<(String, Change), Error>, Self)> {
        if self.failed {
            return None;
        }
        let next = self.next().await;
        self.failed = next.is_err();
        Some((next, self))
    }

    /// The next change, through as many connections as it takes.
    async fn next(&mut self) -> Result<(String, Change), Error> {
        loop {
            if self.connection.is_none()
                && let Some(id) = self.closing.pop_first()
            {
                return Ok((id, Change::Unsubscribed));
            }
            if self.connection.is_none() && !self.open.is_empty() {
                match self.connect().await {
                    Ok(connection) => self.connection = Some(connection),
                    Err(error) if error.is_retryable() => self.backoff.wait().await,
                    Err(error) => return Err(error),
                }
                continue;
            }
            tokio::select! {
                biased;
                command = next_command(&mut self.commands) => match command {
                    Some(command) => if let Some(change) = self.obey(command).await {
                        return Ok(change);
                    },
                    None => self.commands = None,
                },
                response = next_response(&mut self.connection) => match response {
                    Ok(Some(response)) => {
                        if let Some(change) = self.take(response).await? {
                            return Ok(change);
                        }
                    }
                    Err(error) if !error.is_retryable() => return Err(error),
                    Ok(None) | Err(_) => {
                        self.connection = None;
                        self.backoff.wait().await;
                    }
                },
            }
        }
    }

    /// A connection on which everything that is open goes on.
    async fn connect(&mut self) -> Result<Connection, Error> {
        let (requests, told) = mpsc::channel(self.open.len() + COMMANDS_MAX);
        for (id, position) in &self.open {
            requests
                .try_send(subscribe(id, position))
                .map_err(|_full| Error::Protocol("more requests than there is room for"))?;
        }
        let responses = self.service.follow(ReceiverStream::new(told)).await?.into_inner();
        Ok(Connection { requests, responses })
    }

    /// What is known at once.
    async fn obey(&mut self, command: Command) -> Option<(String, Change)> {
        match command {
            Command::Subscribe(id, _) if self.open.contains_key(&id) => {
                let status = tonic::Status::invalid_argument(format!("id: there is a subscription `{id}` already"));
                Some((id, Change::Refused(status.into())))
            }
            Command::Subscribe(id, position) => {
                self.send(subscribe(&id, &position)).await;
                self.open.insert(id, *position);
                None
            }
            Command::Unsubscribe(id) => {
                self.open.remove(&id);
                if self.connection.is_none() {
                    return Some((id, Change::Unsubscribed));
                }
                self.closing.insert(id.clone());
                self.send(FollowRequest { command: Some(Wire::Unsubscribe(id)) }).await;
                None
            }
        }
    }

    /// On a connection that is lost it is said again on the next.
    async fn send(&mut self, request: FollowRequest) {
        if let Some(connection) = &self.connection {
            drop(connection.requests.send(request).await);
        }
    }

    async fn take(&mut self, response: FollowResponse) -> Result<Option<(String, Change)>, Error> {
        let id = response.id;
        Ok(match response.said.ok_or(Error::Protocol("an empty message"))? {
            Said::Unsubscribed(_) => {
                self.closing.remove(&id);
                Some((id, Change::Unsubscribed))
            }
            Said::Refused(refused) => {
                let error = Error::from(tonic::Status::new(tonic::Code::from_i32(refused.code), refused.message));
                self.closing.remove(&id);
                if let Some(position) = self.open.get(&id).filter(|_| error.is_retryable()) {
                    let again = subscribe(&id, position);
                    self.backoff.wait().await;
                    self.send(again).await;
                    return Ok(None);
                }
                self.open.remove(&id);
                Some((id, Change::Refused(error)))
            }
            Said::Told(told) => {
                // What was on its way when it was closed.
                let Some(position) = self.open.get_mut(&id) else { return Ok(None) };
                let change = position.take(told)?.map_or(Change::Subscribed, Change::Events);
                self.backoff = Backoff::default();
                Some((id, change))
            }
        })
    }
}

fn subscribe(id: &str, position: &Position) -> FollowRequest {
    let asked = FollowSubscribe { id: id.to_owned(), request: Some(position.request()), acks: false };
    FollowRequest { command: Some(Wire::Subscribe(asked)) }
}

async fn next_command(commands: &mut Option<mpsc::Receiver<Command>>) -> Option<Command> {
    match commands {
        Some(commands) => commands.recv().await,
        None => std::future::pending().await,
    }
}

async fn next_response(connection: &mut Option<Connection>) -> Result<Option<FollowResponse>, Error> {
    match connection {
        Some(connection) => Ok(connection.responses.message().await?),
        None => std::future::pending().await,
    }
}
