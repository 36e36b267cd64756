//! The one owner of a shard's appends: joins what waits, recognises retries, proposes one entry at a time.
//!
//! One entry in flight makes the order plain: when it is answered, everything before it is committed.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use watershed_cluster::{Group, GroupError};
use watershed_schema::limits::ENTRY_COALESCED_BYTES_MAX;
use watershed_schema::{EntryKind, EventBatch, NodeId, ShardId, Term, proto};

use super::dedupe::Dedupe;
use super::error::AppendError;
use super::handle::{Appended, ShardSettings};
use super::machine::{Committed, Hashed, hashed};
use super::trim;
use crate::Permit;

type Reply = RpcReplyPort<Result<Appended, AppendError>>;

pub(crate) enum Message {
    /// Events to commit.
    Append { batch: Arc<EventBatch>, permit: Arc<Permit>, reply: Reply },
    /// Leadership was confirmed: everything older than this term is applied.
    Ready(Term),
    /// Another node leads: what came while nobody did has to go there.
    Elsewhere,
    /// Leadership could not be confirmed.
    NotReady,
    /// The entry in flight came to an end.
    Proposed { waiting: Vec<Waiting>, result: Result<(), GroupError> },
    /// Time to let go of old entries.
    Trim,
}

impl ractor::Message for Message {}

/// An append whose events are in the entry in flight.
pub(crate) struct Waiting {
    appended: Appended,
    reply: Reply,
    _permit: Arc<Permit>,
}

#[derive(PartialEq)]
enum Phase {
    Confirming,
    Idle,
    Proposing,
}

pub(crate) struct ShardActor;

pub(crate) struct ShardState {
    id: ShardId,
    me: NodeId,
    group: Group,
    committed: Arc<Committed>,
    settings: ShardSettings,
    phase: Phase,
    /// The last in which leadership was confirmed. In a later one, what is applied here may lack what others committed
    /// between: a retry of that would not be recognised.
    term: Term,
    pending: Vec<(Arc<EventBatch>, Arc<Permit>, Reply)>,
}

pub(crate) struct ShardArguments {
    pub(crate) id: ShardId,
    pub(crate) me: NodeId,
    pub(crate) group: Group,
    pub(crate) committed: Arc<Committed>,
    pub(crate) settings: ShardSettings,
}

impl Actor for ShardActor {
    type Msg = Message;
    type State = ShardState;
    type Arguments = ShardArguments;

    async fn pre_start(&self, myself: ActorRef<Message>, arguments: ShardArguments) -> Result<ShardState, ActorProcessingErr> {
        let ShardArguments { id, me, group, committed, settings } = arguments;
        let state =
            ShardState { id, me, group, committed, settings, phase: Phase::Confirming, term: Term(0), pending: Vec::new() };
        state.confirm(myself);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut ShardState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Append { batch, permit, reply } => state.admit(batch, permit, reply),
            Message::Ready(term) => (state.phase, state.term) = (Phase::Idle, term),
            Message::Elsewhere => state.refuse_all(),
            Message::NotReady => {
                state.refuse_all();
                state.confirm(myself.clone());
            }
            Message::Proposed { waiting, result } => state.answer(waiting, result, &myself),
            Message::Trim => trim::run(&state.group, &state.committed, state.settings.hot_retention),
        }
        state.propose_next(myself);
        Ok(())
    }
}

impl ShardState {
    /// Waits until this node leads, then until everything committed before is applied here.
    fn confirm(&self, myself: ActorRef<Message>) {
        let (group, me) = (self.group.clone(), self.me);
        tokio::spawn(async move {
            let mut leader = group.watch_leader();
            let term = loop {
                let now = leader.current();
                match now.leader {
                    Some(leader) if leader == me => break now.term,
                    Some(_) => drop(myself.cast(Message::Elsewhere)),
                    None => {}
                }
                if leader.changed().await.is_none() {
                    return;
                }
            };
            let confirmed = group.read_index().await.is_ok();
            let message = if confirmed { Message::Ready(term) } else { Message::NotReady };
            if !confirmed {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            drop(myself.cast(message));
        });
    }

    /// What comes while another node leads is refused at once: it knows where to go. A leader that has only just been
    /// elected confirms that first.
    fn admit(&mut self, batch: Arc<EventBatch>, permit: Arc<Permit>, reply: Reply) {
        self.pending.push((batch, permit, reply));
        if self.phase == Phase::Confirming && self.group.leader().is_some_and(|leader| leader != self.me) {
            self.refuse_all();
        }
    }

    fn refuse_all(&mut self) {
        let refused = AppendError::NotLeader { shard: self.id, leader: self.group.leader().filter(|leader| *leader != self.me) };
        for (_, _, reply) in self.pending.drain(..) {
            drop(reply.send(Err(refused.clone())));
        }
    }

    fn propose_next(&mut self, myself: ActorRef<Message>) {
        while self.phase == Phase::Idle && !self.pending.is_empty() {
            let (batches, mut waiting) = self.take_entry();
            if acknowledges_early() {
                acknowledge(std::mem::take(&mut waiting));
            }
            if batches.is_empty() {
                acknowledge(waiting);
            } else {
                self.phase = Phase::Proposing;
                self.propose(batches, waiting, myself.clone());
            }
        }
    }

    /// The next entry: waiting batches without what is committed already, up to the entry's size.
    fn take_entry(&mut self) -> (Vec<Hashed>, Vec<Waiting>) {
        let (mut batches, mut waiting, mut mine) = (Vec::new(), Vec::new(), HashSet::new());
        let taken = self.fitting();
        let state = self.committed.state();
        for (batch, permit, reply) in self.pending.drain(..taken) {
            let (batch, ids) = hashed(batch);
            let new = |index: &usize| is_new(&state.dedupe, ids[*index]) && mine.insert(ids[*index]);
            let fresh: Vec<usize> = (0..ids.len()).filter(new).collect();
            let appended = Appended { events: fresh.len() as u64, duplicates: (ids.len() - fresh.len()) as u64 };
            waiting.push(Waiting { appended, reply, _permit: permit });
            if fresh.len() == ids.len() {
                batches.push((batch, ids));
            } else if let Some(rest) = batch.select(&fresh) {
                batches.push(hashed(Arc::new(rest)));
            }
        }
        (batches, waiting)
    }

    /// How many waiting batches fit into one entry; at least one.
    fn fitting(&self) -> usize {
        let mut bytes = 0;
        let fits = |(batch, _, _): &&(Arc<EventBatch>, Arc<Permit>, Reply)| {
            bytes += batch.body().len();
            bytes <= ENTRY_COALESCED_BYTES_MAX
        };
        self.pending.iter().take_while(fits).count().max(1)
    }

    fn propose(&self, batches: Vec<Hashed>, waiting: Vec<Waiting>, myself: ActorRef<Message>) {
        let (group, committed, term) = (self.group.clone(), Arc::clone(&self.committed), self.term);
        tokio::spawn(async move {
            let append = proto::LogAppend { batches: batches.iter().map(|(batch, _)| batch.seal()).collect() };
            let payload = Bytes::from(append.encode_to_vec());
            committed.remember(payload.clone(), batches);
            let result = group.propose_in(term, EntryKind::Append, payload).await.map(drop);
            drop(myself.cast(Message::Proposed { waiting, result }));
        });
    }

    fn answer(&mut self, waiting: Vec<Waiting>, result: Result<(), GroupError>, myself: &ActorRef<Message>) {
        match result {
            Ok(()) => {
                self.phase = Phase::Idle;
                acknowledge(waiting);
            }
            Err(error) => {
                self.phase = Phase::Confirming;
                let failed = match error {
                    GroupError::NotLeader { leader } => AppendError::NotLeader { shard: self.id, leader },
                    error => AppendError::Unknown { shard: self.id, reason: error.to_string() },
                };
                waiting.into_iter().for_each(|one| drop(one.reply.send(Err(failed.clone()))));
                self.confirm(myself.clone());
            }
        }
    }
}

/// Whether an id was not seen in what is applied.
fn is_new(dedupe: &Dedupe, id: u128) -> bool {
    fail::fail_point!("shard::skip_dedupe", |_| true);
    !dedupe.contains(id)
}

/// `chaos` breaks the promise on purpose, to see its checker find it.
fn acknowledges_early() -> bool {
    fail::fail_point!("shard::ack_before_commit", |_| true);
    false
}

/// The only place where an append is acknowledged: its entry is committed.
fn acknowledge(waiting: Vec<Waiting>) {
    for one in waiting {
        drop(one.reply.send(Ok(one.appended)));
    }
}
