//! The subscriber actor of a node: where streams sleep that have seen everything.
//!
//! A stream at the tail is an entry here and nothing else: no task, no timer, no buffer. Each shard that somebody sleeps on
//! is read once; an event wakes those who want it, who then read on by themselves, from where it stands.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ractor::rpc::CallResult;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::oneshot;
use watershed_schema::{EventBatch, Seq, ShardId, TenantId};

use super::Cursor;
use super::filter::Filter;
use super::index::Index;
use super::watch::Watch;
use crate::shard::{Page, ReadError, ShardHandle};

/// A stream is woken after so many events of a shard that it did not want, to tell its client a newer token: as many are
/// read again when it resumes.
const PASSED_OVER_MAX: u64 = 100_000;

/// A stream that has seen everything up to its cursors.
pub(super) struct Sleeper {
    pub(super) tenant: TenantId,
    pub(super) filter: Arc<Filter>,
    pub(super) cursors: Vec<Cursor>,
    /// Told where to read on: nothing that it wants lies before.
    pub(super) wake: oneshot::Sender<Vec<Cursor>>,
}

pub(super) enum Message {
    /// Sleep under a number; `false` when a shard has been read beyond the stream's cursor: it has to read on first.
    Sleep(u64, Sleeper, RpcReplyPort<bool>),
    /// Its client went.
    Leave(u64, TenantId),
    /// What came in a shard, or nothing; the answer is where to read on, none when nobody sleeps there any more.
    Came(ShardId, Option<Result<Page, ReadError>>, RpcReplyPort<Option<Seq>>),
}

impl ractor::Message for Message {}

/// A shard that is read for sleepers: everything before `at` was held against all who sleep.
struct Watched {
    at: Seq,
    sleepers: usize,
}

pub(super) struct State {
    shards: Vec<ShardHandle>,
    watched: BTreeMap<ShardId, Watched>,
    sleepers: HashMap<u64, Sleeper>,
    tenants: HashMap<TenantId, Index>,
}

struct HubActor;

/// A handle on the actor. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    actor: ActorRef<Message>,
    ids: Arc<AtomicU64>,
}

/// A stream's place in the index, also while it is awake: one with many values would be filed anew for each sleep. Who drops
/// it leaves.
pub(super) struct Place {
    hub: Hub,
    id: u64,
    tenant: TenantId,
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.hub.actor.cast(Message::Leave(self.id, self.tenant.clone())));
    }
}

impl Hub {
    pub(crate) async fn start(shards: Vec<ShardHandle>, supervisor: ActorCell) -> Result<Self, ractor::SpawnErr> {
        let state = State { shards, watched: BTreeMap::new(), sleepers: HashMap::new(), tenants: HashMap::new() };
        Ok(Self { actor: HubActor::spawn_linked(None, HubActor, state, supervisor).await?.0, ids: Arc::default() })
    }

    /// A place for a stream that will sleep, now and then.
    pub(super) fn place(&self, tenant: TenantId) -> Place {
        Place { hub: self.clone(), id: self.ids.fetch_add(1, Ordering::Relaxed), tenant }
    }

    pub(crate) async fn stop(&self) {
        crate::supervisor::join(&self.actor).await;
    }
}

impl Place {
    /// `false` when the stream has to read on first.
    pub(super) async fn sleep(&self, sleeper: Sleeper) -> Result<bool, ReadError> {
        called(self.hub.actor.call(|reply| Message::Sleep(self.id, sleeper, reply), None).await)
    }
}

pub(super) fn called<T>(answer: Result<CallResult<T>, ractor::MessagingErr<Message>>) -> Result<T, ReadError> {
    match answer {
        Ok(CallResult::Success(answer)) => Ok(answer),
        Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => Err(ReadError::Stopped),
    }
}

impl Actor for HubActor {
    type Msg = Message;
    type State = State;
    type Arguments = State;

    async fn pre_start(&self, _: ActorRef<Message>, state: State) -> Result<State, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(&self, me: ActorRef<Message>, message: Message, state: &mut State) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Sleep(id, sleeper, reply) => drop(reply.send(state.sleep(id, sleeper, &me))),
            Message::Leave(id, tenant) => state.leave(id, &tenant),
            Message::Came(shard, page, reply) => drop(reply.send(state.came(shard, page))),
        }
        Ok(())
    }
}

impl State {
    fn sleep(&mut self, id: u64, sleeper: Sleeper, me: &ActorRef<Message>) -> bool {
        let is_behind = |cursor: &Cursor| self.watched.get(&cursor.shard).is_some_and(|watched| watched.at > cursor.next);
        if sleeper.cursors.iter().any(is_behind) {
            return false;
        }
        self.take(id);
        for cursor in &sleeper.cursors {
            self.watch(cursor, me);
        }
        self.tenants.entry(sleeper.tenant.clone()).or_default().insert(id, Arc::clone(&sleeper.filter));
        self.sleepers.insert(id, sleeper);
        true
    }

    fn watch(&mut self, cursor: &Cursor, me: &ActorRef<Message>) {
        if let Some(watched) = self.watched.get_mut(&cursor.shard) {
            watched.sleepers += 1;
        } else if let Some(shard) = self.shards.iter().find(|shard| shard.id() == cursor.shard) {
            self.watched.insert(cursor.shard, Watched { at: cursor.next, sleepers: 1 });
            tokio::spawn(Watch { shard: shard.clone(), hub: me.clone() }.run(cursor.next));
        }
    }

    fn leave(&mut self, id: u64, tenant: &TenantId) {
        self.take(id);
        let Some(index) = self.tenants.get_mut(tenant) else { return };
        index.remove(id);
        if index.is_empty() {
            self.tenants.remove(tenant);
        }
    }

    /// Takes a sleeper out; it stays in the index.
    fn take(&mut self, id: u64) -> Option<Sleeper> {
        let sleeper = self.sleepers.remove(&id)?;
        for cursor in &sleeper.cursors {
            if let Some(watched) = self.watched.get_mut(&cursor.shard) {
                watched.sleepers -= 1;
            }
        }
        Some(sleeper)
    }

    fn came(&mut self, shard: ShardId, page: Option<Result<Page, ReadError>>) -> Option<Seq> {
        match page {
            None => {}
            Some(Ok(page)) => self.read(shard, &page),
            // They find out by themselves what is wrong, or what is lost.
            Some(Err(_)) => self.wake_all(shard, |_| true),
        }
        if self.watched.get(&shard)?.sleepers == 0 {
            self.watched.remove(&shard);
            return None;
        }
        Some(self.watched.get(&shard)?.at)
    }

    fn read(&mut self, shard: ShardId, page: &Page) {
        let Some(at) = self.watched.get(&shard).map(|watched| watched.at) else { return };
        for (first, batch) in &page.blocks {
            self.held_against(shard, at, *first, batch);
        }
        if let Some(watched) = self.watched.get_mut(&shard) {
            watched.at = page.next.max(at);
        }
        if at.0 / PASSED_OVER_MAX != page.next.0 / PASSED_OVER_MAX {
            self.wake_all(shard, |cursor| page.next.0 - cursor.next.0.min(page.next.0) >= PASSED_OVER_MAX);
        }
    }

    /// Wakes who wants one of a batch's events from `at` on.
    fn held_against(&mut self, shard: ShardId, at: Seq, first: Seq, batch: &EventBatch) {
        let mut found = Vec::new();
        for index in 0..batch.len() {
            let seq = Seq(first.0 + index as u64);
            let Some(filters) = self.tenants.get(batch.tenant()) else { return };
            if seq < at {
                continue;
            }
            // A row that cannot be read is every stream's trouble: each says so to its client.
            if filters.find(batch, index, &mut found).is_err() {
                return self.wake_all(shard, |_| true);
            }
            for id in found.drain(..) {
                self.wake(id, shard, seq);
            }
        }
    }

    /// Wakes a stream for an event, unless it has seen it.
    fn wake(&mut self, id: u64, shard: ShardId, seq: Seq) {
        let wants = |sleeper: &Sleeper| sleeper.cursors.iter().any(|one| one.shard == shard && one.next <= seq);
        if !self.sleepers.get(&id).is_some_and(wants) {
            return;
        }
        let Some(Sleeper { cursors, wake, .. }) = self.take(id) else { return };
        let on = |Cursor { shard: other, next }| {
            let read = self.watched.get(&other).map_or(next, |watched| watched.at);
            Cursor { shard: other, next: next.max(if other == shard { seq } else { read }) }
        };
        drop(wake.send(cursors.into_iter().map(on).collect()));
    }

    /// Wakes those who sleep on a shard, where they are.
    fn wake_all(&mut self, shard: ShardId, which: impl Fn(&Cursor) -> bool) {
        let is = |cursor: &&Cursor| cursor.shard == shard && which(cursor);
        let sleeping = self.sleepers.iter().filter_map(|(id, sleeper)| Some((*id, sleeper.cursors.iter().find(is)?.next)));
        for (id, next) in sleeping.collect::<Vec<_>>() {
            let read = self.watched.get(&shard).map_or(next, |watched| watched.at);
            self.wake(id, shard, next.max(read));
        }
    }
}
