//! Everything local: the shards of this node, the ring, the budget, the actors.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use ractor::{Actor as _, ActorRef};
use tokio::sync::watch;
use watershed_cluster::Ring;
use watershed_lake::Lake;
use watershed_schema::proto::{DeadLetter, Replayed};
use watershed_schema::{Column, EventBatch, Row, ShardId, TenantId, Value};

use crate::archive::ArchiverHandle;
use crate::ingest::{Ingest, Ingested};
use crate::shard::{self, AppendError, Appended, ShardHandle, ShardSettings};
use crate::subscriber::{Cursor, Subscriber};
use crate::supervisor::{self, Supervisor};
use crate::{Budget, Permit};

/// How a node behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of the shards' files.
    pub data_dir: PathBuf,
    /// Shards of the cluster.
    pub shards: u16,
    /// Tenants that are spread over all shards by trace.
    pub high_volume: Vec<TenantId>,
    /// Bytes of requests in flight.
    pub budget_bytes: usize,
    /// Requests that are decoded at a time.
    pub ingest_actors: usize,
    /// How long archived events stay hot, at least.
    pub hot_retention: Duration,
    /// Longest time between an event's commit and its data file.
    pub flush_interval: Duration,
    /// Rows that close a file set early.
    pub archive_rows: u64,
    /// Bytes of rows that close a file set early.
    pub archive_bytes: usize,
    /// Attempts after which rows that the lake refuses for good become a dead letter.
    pub archive_attempts: u32,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A shard's file.
    #[error("shard {shard}: {reason}")]
    Shard {
        /// The shard.
        shard: ShardId,
        /// What happened.
        reason: String,
    },
    /// The data folder.
    #[error("data folder: {0}")]
    DataDir(#[from] std::io::Error),
    /// An actor.
    #[error("actor: {0}")]
    Actor(#[from] ractor::SpawnErr),
}

/// The shards and the way to them.
pub(crate) struct Shards {
    ring: Ring,
    handles: Vec<ShardHandle>,
}

/// A handle on everything local. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    budget: Budget,
    shards: Arc<Shards>,
    ingest: Ingest,
    archiver: Option<ArchiverHandle>,
    supervisor: ActorRef<supervisor::Message>,
    failed: watch::Receiver<Option<String>>,
}

impl Node {
    /// Opens every shard and starts the actors, the last consumer first.
    ///
    /// # Errors
    /// [`StartError`] when a file, folder or actor does not come up.
    pub async fn start(settings: Settings, lake: Option<Arc<Lake>>) -> Result<Self, StartError> {
        std::fs::create_dir_all(&settings.data_dir)?;
        let (tell, failed) = watch::channel(None);
        let supervisor = Supervisor::spawn(None, Supervisor, tell).await?.0;
        let shards = Arc::new(Shards::open(&settings, &supervisor).await?);
        let archiver = match lake {
            Some(lake) => Some(ArchiverHandle::start(shards.handles.clone(), lake, &settings, &supervisor.get_cell()).await?),
            None => None,
        };
        let ingest = Ingest::start(settings.ingest_actors, &shards, &supervisor.get_cell()).await?;
        let budget = Budget::new(settings.budget_bytes);
        Ok(Self { inner: Arc::new(Inner { budget, shards, ingest, archiver, supervisor, failed }) })
    }

    /// Bytes in flight.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.inner.budget
    }

    /// Which shard owns what.
    #[must_use]
    pub fn ring(&self) -> &Ring {
        &self.inner.shards.ring
    }

    /// The local shards, by number.
    #[must_use]
    pub fn shards(&self) -> &[ShardHandle] {
        &self.inner.shards.handles
    }

    /// Routes a batch and appends its parts; returns when all are committed.
    ///
    /// # Errors
    /// [`AppendError`] of the first part that failed; other parts may be committed, a retry is recognised.
    pub async fn append(&self, batch: EventBatch, permit: Permit) -> Result<Appended, AppendError> {
        self.inner.shards.append(batch, permit).await
    }

    /// Decodes a request on an ingest actor and appends what comes of it; `None` when the node stops.
    pub async fn ingest<T: Send + 'static>(
        &self,
        decode: impl FnOnce() -> (T, Option<EventBatch>) + Send + 'static,
        permit: Permit,
    ) -> Option<Ingested<T>> {
        self.inner.ingest.run(decode, permit).await
    }

    /// Starts a subscriber actor at these cursors, one for each shard that is to be followed.
    ///
    /// # Errors
    /// [`StartError::Actor`].
    pub async fn subscribe(&self, tenant: TenantId, cursors: Vec<Cursor>) -> Result<Subscriber, StartError> {
        Ok(Subscriber::start(self.shards().to_vec(), tenant, cursors).await?)
    }

    /// Archives everything that is committed now and waits for the snapshot. `false`: it could not, now.
    pub async fn flush(&self) -> bool {
        match &self.inner.archiver {
            Some(archiver) => archiver.flush().await,
            None => false,
        }
    }

    /// What the lake refused for good.
    ///
    /// # Errors
    /// When the letters cannot be read.
    pub fn dead_letters(&self) -> std::io::Result<Vec<DeadLetter>> {
        self.inner.archiver.as_ref().map_or_else(|| Ok(Vec::new()), |archiver| archiver.dead_letters(self.shards()))
    }

    /// How many dead letters there are.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn dead_letter_count(&self) -> std::io::Result<usize> {
        self.inner.archiver.as_ref().map_or(Ok(0), |archiver| archiver.dead_letter_count(self.shards()))
    }

    /// Writes dead letters into the lake after all; no names: all of them.
    ///
    /// # Errors
    /// Why none could be tried; why a single one was refused stands in its answer.
    pub async fn replay_dead_letters(&self, names: Vec<String>) -> Result<Vec<Replayed>, String> {
        match &self.inner.archiver {
            Some(archiver) => archiver.replay(names).await,
            None => Err("this node has no lake".to_owned()),
        }
    }

    /// Returns with the reason when an actor failed: the process should end.
    pub async fn failed(&self) -> String {
        let mut failed = self.inner.failed.clone();
        let reason = failed.wait_for(Option::is_some).await.map(|reason| reason.clone());
        reason.ok().flatten().unwrap_or_else(|| "supervisor is gone".to_owned())
    }

    /// Finishes what is in flight and ends every actor; what is committed and not archived stays in the log.
    pub async fn stop(&self) {
        self.inner.ingest.stop().await;
        if let Some(archiver) = &self.inner.archiver {
            archiver.stop().await;
        }
        for shard in self.shards() {
            shard.stop().await;
        }
        supervisor::join(&self.inner.supervisor).await;
    }
}

impl Shards {
    async fn open(settings: &Settings, supervisor: &ActorRef<supervisor::Message>) -> Result<Self, StartError> {
        let shard_settings = ShardSettings { hot_retention: settings.hot_retention };
        let opening =
            (0..settings.shards).map(|id| shard::open(ShardId(id), &settings.data_dir, shard_settings, supervisor.get_cell()));
        let handles = try_join_all(opening).await?;
        let mut ring = Ring::new(settings.shards);
        settings.high_volume.iter().cloned().for_each(|tenant| ring.graduate(tenant));
        Ok(Self { ring, handles })
    }

    pub(crate) async fn append(&self, batch: EventBatch, permit: Permit) -> Result<Appended, AppendError> {
        let permit = Arc::new(permit);
        let append = |(shard, part): (ShardId, EventBatch)| self.handles[usize::from(shard.0)].append(part, Arc::clone(&permit));
        let done = try_join_all(split(&self.ring, batch).into_iter().map(append)).await?;
        let sum = |field: fn(&Appended) -> u64| done.iter().map(field).sum();
        Ok(Appended { events: sum(|one| one.events), duplicates: sum(|one| one.duplicates) })
    }
}

/// The routing key of an event: trace, else session, else actor, else the event itself.
fn key_of<'a>(row: &Row<'a>) -> &'a str {
    [Column::TraceId, Column::SessionId, Column::ActorId, Column::AnonymousId, Column::Id]
        .into_iter()
        .find_map(|column| row.get(column).ok().flatten().and_then(Value::as_str))
        .unwrap_or("")
}

fn split(ring: &Ring, batch: EventBatch) -> Vec<(ShardId, EventBatch)> {
    let tenant: TenantId = batch.tenant().clone();
    if !ring.is_high_volume(&tenant) {
        return vec![(ring.shard(&tenant, b""), batch)];
    }
    let mut parts = BTreeMap::<ShardId, Vec<usize>>::new();
    for (index, row) in batch.rows().enumerate() {
        parts.entry(ring.shard(&tenant, key_of(&row).as_bytes())).or_default().push(index);
    }
    parts.into_iter().filter_map(|(shard, rows)| Some((shard, batch.select(&rows)?))).collect()
}
