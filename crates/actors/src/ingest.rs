//! Ingest actors: as many as cores, each decodes one request at a time and hands the batch on.
//!
//! Decoding is the one part of an append that burns CPU before anything is known of the batch; a fixed number of
//! decoders keeps a flood of requests from starving readers and consensus. Commits are not waited for here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use watershed_schema::EventBatch;

use crate::node::Shards;
use crate::{AppendError, Appended, Permit};

/// A decoded request: what the decoder says of it, and the fate of its batch.
#[derive(Debug)]
pub struct Ingested<T> {
    /// Said by the decoder.
    pub said: T,
    /// `None` when there was nothing to append.
    pub appended: Option<Result<Appended, AppendError>>,
}

type Work = Box<dyn FnOnce(Arc<Shards>) + Send>;

pub(crate) struct Job(Work);

impl ractor::Message for Job {}

struct IngestActor;

impl Actor for IngestActor {
    type Msg = Job;
    type State = Arc<Shards>;
    type Arguments = Arc<Shards>;

    async fn pre_start(&self, _: ActorRef<Job>, shards: Arc<Shards>) -> Result<Arc<Shards>, ActorProcessingErr> {
        Ok(shards)
    }

    async fn handle(&self, _: ActorRef<Job>, Job(work): Job, shards: &mut Arc<Shards>) -> Result<(), ActorProcessingErr> {
        work(Arc::clone(shards));
        Ok(())
    }
}

/// The ingest actors of a node.
pub(crate) struct Ingest {
    actors: Vec<ActorRef<Job>>,
    next: AtomicUsize,
}

impl Ingest {
    pub(crate) async fn start(count: usize, shards: &Arc<Shards>, supervisor: &ActorCell) -> Result<Self, ractor::SpawnErr> {
        let mut actors = Vec::new();
        for _ in 0..count.max(1) {
            actors.push(IngestActor::spawn_linked(None, IngestActor, Arc::clone(shards), supervisor.clone()).await?.0);
        }
        Ok(Self { actors, next: AtomicUsize::new(0) })
    }

    /// Decodes on an ingest actor, then appends; `None` when the node stops.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        decode: impl FnOnce() -> (T, Option<EventBatch>) + Send + 'static,
        permit: Permit,
    ) -> Option<Ingested<T>> {
        let (tell, told) = oneshot::channel();
        let work: Work = Box::new(move |shards| {
            let (said, batch) = decode();
            tokio::spawn(async move {
                let appended = match batch {
                    Some(batch) => Some(shards.append(batch, permit).await),
                    None => None,
                };
                drop(tell.send(Ingested { said, appended }));
            });
        });
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.actors.len();
        self.actors[turn].cast(Job(work)).ok()?;
        told.await.ok()
    }

    pub(crate) async fn stop(&self) {
        for actor in &self.actors {
            crate::supervisor::join(actor).await;
        }
    }
}
