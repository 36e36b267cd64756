//! The archiver actor: committed events become data files, data files become a snapshot, exactly once.
//!
//! Steps, each of which may be the last before a crash: rows to Parquet, `Staged` through the shard's log, the
//! Iceberg commit, `Archived` through the shard's log. What a step leaves behind is enough to go on from there.

mod commit;
mod committer;
mod letters;
mod read_letters;
mod stage;
mod upkeep;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ractor::rpc::CallResult;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::mpsc;
use watershed_lake::{Lake, LakeError};
use watershed_schema::proto::{PeerDoomed, Purged, Replayed, UpkeepStep};
use watershed_schema::{Epoch, Seq, ShardId};

use crate::control::ControlHandle;
use crate::shard::{ReadError, ShardHandle};
use crate::{Settings, StartError};

pub(crate) use committer::UpkeepError;
pub use upkeep::Upkeep;

use upkeep::{Job, Rounds, STEPS_MAX, Steps};

const TICK: Duration = Duration::from_secs(1);
const WAIT_MAX_TICKS: u32 = 60;
const STOPPING: &str = "the archiver is stopping";

/// Why a round of archiving did not come to its end; the next one goes on from there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("reading the log: {0}")]
    Read(#[from] ReadError),
    #[error("writing to the log: {0}")]
    Propose(#[from] watershed_cluster::GroupError),
    #[error("lake: {0}")]
    Lake(#[from] LakeError),
    #[error("letter {0} has changed meanwhile: look again")]
    LetterChanged(String),
    #[error("encoder thread: {0}")]
    Thread(#[source] io::Error),
    #[error("shard {0}: the lake is ahead of this data folder: it belongs to another cluster, or the folder was lost")]
    LakeAhead(ShardId),
}

pub(crate) enum Message {
    /// Time to look whether something is due.
    Tick,
    /// Archive all that is committed now.
    Flush(RpcReplyPort<bool>),
    /// Write dead letters into the lake after all; empty = all of them.
    Replay(Vec<String>, RpcReplyPort<Result<Vec<Replayed>, String>>),
    /// Give dead letters up.
    Purge(Vec<String>, RpcReplyPort<Result<Vec<Purged>, String>>),
    /// Take rows out of the dead letters: after a replay that runs, so that none comes back.
    Forget(PeerDoomed, RpcReplyPort<Vec<UpkeepStep>>),
    /// Do these, one after the other; the answer is whether this node does.
    Upkeep(Vec<Job>, Steps, RpcReplyPort<Result<(), UpkeepError>>),
}

impl ractor::Message for Message {}

/// When a file set is closed.
#[derive(Clone, Copy)]
struct Due {
    interval: Duration,
    rows: u64,
    bytes: usize,
    /// Attempts after which rows that the lake refuses for good become a dead letter.
    attempts: u32,
}

pub(crate) struct Archiver {
    shards: Vec<ShardHandle>,
    control: ControlHandle,
    lake: Arc<Lake>,
    due: Due,
    /// Where a shard's next run was refused, and how often.
    refused: BTreeMap<ShardId, (Seq, u32)>,
    upkeep: Rounds,
    /// Rounds that failed, one after another.
    failures: u32,
    /// Ticks to sit out after a failure.
    wait: u32,
    /// Whether the logs were brought up to the lake's watermark since this node commits.
    recovered: bool,
}

struct ArchiverActor;

impl Actor for ArchiverActor {
    type Msg = Message;
    type State = Archiver;
    type Arguments = Archiver;

    async fn pre_start(&self, myself: ActorRef<Message>, archiver: Archiver) -> Result<Archiver, ActorProcessingErr> {
        drop(myself.send_interval(TICK, || Message::Tick));
        Ok(archiver)
    }

    async fn handle(&self, _: ActorRef<Message>, message: Message, archiver: &mut Archiver) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Tick => archiver.tick().await,
            Message::Flush(reply) => {
                let done = archiver.round(true).await;
                drop(reply.send(done));
            }
            Message::Replay(names, reply) => {
                drop(reply.send(Box::pin(archiver.replay(&names)).await.map_err(|error| error.to_string())));
            }
            Message::Purge(names, reply) => {
                drop(reply.send(archiver.purge(&names).await.map_err(|error| error.to_string())));
            }
            Message::Forget(doomed, reply) => drop(reply.send(Box::pin(archiver.forget(&doomed)).await)),
            Message::Upkeep(jobs, steps, reply) => drop(reply.send(archiver.ask_for_upkeep(jobs, &steps))),
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Message>, archiver: &mut Archiver) -> Result<(), ActorProcessingErr> {
        archiver.upkeep.end().await;
        Ok(())
    }
}

impl Archiver {
    async fn tick(&mut self) {
        if self.wait > 0 {
            self.wait -= 1;
        } else {
            self.round(false).await;
        }
    }

    /// Whether it came to its end.
    async fn round(&mut self, everything: bool) -> bool {
        match Box::pin(self.try_round(everything)).await {
            Ok(()) => {
                self.failures = 0;
                self.control.route().gateway.backlog().worked();
            }
            Err(error) => {
                self.failures += 1;
                self.wait = (1 << self.failures.min(6)).min(WAIT_MAX_TICKS) + jitter(self.failures);
                metrics::counter!("watershed_archive_failures_total").increment(1);
                self.control.route().gateway.backlog().failed(error.to_string());
                tracing::warn!(%error, again_in_seconds = self.wait, "archiving failed, it is tried again");
            }
        }
        self.failures == 0
    }

    async fn try_round(&mut self, everything: bool) -> Result<(), ArchiveError> {
        let commits = self.control.is_leader();
        if commits && !self.recovered {
            commit::recover(&self.shards, &self.lake).await?;
            letters::recover(&self.shards, &self.lake).await?;
        }
        self.recovered = commits;
        // A shard that cannot go on does not hold up the others.
        let mut staged = Ok(());
        for shard in self.shards.clone() {
            if let Some(replica) = shard.leading() {
                staged = staged.and(self.stage(&shard, &replica, everything).await);
            }
        }
        if !commits || everything {
            self.upkeep.end().await;
        }
        if !commits {
            self.upkeep.forget_asked();
        }
        if !commits || self.upkeep.hold_commits().await {
            return staged;
        }
        staged.and(commit::commit(&self.shards, &self.lake, self.epoch()).await)?;
        self.upkeep.begin_if_due(self.epoch());
        Ok(())
    }

    fn ask_for_upkeep(&mut self, jobs: Vec<Job>, steps: &Steps) -> Result<(), UpkeepError> {
        if !self.control.is_leader() {
            return Err(UpkeepError::NotCommitter { committer: self.control.me_and_leader().1 });
        }
        jobs.into_iter().for_each(|job| self.upkeep.ask(job, steps.clone()));
        Ok(())
    }

    /// The one committer is the control group's leader; its term fences older ones.
    fn epoch(&self) -> Epoch {
        self.control.epoch()
    }
}

/// Up to a quarter more, so that nodes do not come back together.
fn jitter(failures: u32) -> u32 {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    nanos % (1 + (1 << failures.min(6)) / 4)
}

/// The archiver of a node.
pub(crate) struct ArchiverHandle {
    actor: ActorRef<Message>,
    shards: Vec<ShardHandle>,
    control: ControlHandle,
    lake: Arc<Lake>,
}

impl ArchiverHandle {
    pub(crate) async fn start(
        shards: Vec<ShardHandle>,
        control: ControlHandle,
        lake: Arc<Lake>,
        settings: &Settings,
        supervisor: &ActorCell,
    ) -> Result<Self, StartError> {
        let Settings { flush_interval: interval, archive_rows: rows, archive_bytes: bytes, archive_attempts: attempts, .. } =
            *settings;
        letters::tell_of_former(&settings.data_dir);
        let upkeep = Rounds::new(Arc::clone(&lake), shards.clone(), settings.upkeep.clone());
        let archiver = Archiver {
            shards: shards.clone(),
            control: control.clone(),
            lake: Arc::clone(&lake),
            // It ends with the snapshot: files are begun before.
            due: Due { interval: interval - interval / 12, rows, bytes, attempts },
            refused: BTreeMap::new(),
            upkeep,
            failures: 0,
            wait: 0,
            recovered: false,
        };
        let (actor, _joined) = ArchiverActor::spawn_linked(None, ArchiverActor, archiver, supervisor.clone()).await?;
        Ok(Self { actor, shards, control, lake })
    }

    async fn replay_here(&self, names: Vec<String>) -> Result<Vec<Replayed>, UpkeepError> {
        self.called(|reply| Message::Replay(names, reply)).await?.map_err(UpkeepError::Not)
    }

    async fn purge_here(&self, names: Vec<String>) -> Result<Vec<Purged>, UpkeepError> {
        self.called(|reply| Message::Purge(names, reply)).await?.map_err(UpkeepError::Not)
    }

    async fn forget_letters(&self, doomed: PeerDoomed) -> Result<Vec<UpkeepStep>, UpkeepError> {
        self.called(|reply| Message::Forget(doomed, reply)).await
    }

    async fn called<T: Send + 'static>(&self, message: impl FnOnce(RpcReplyPort<T>) -> Message) -> Result<T, UpkeepError> {
        match self.actor.call(message, None).await {
            Ok(CallResult::Success(done)) => Ok(done),
            Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => Err(UpkeepError::Not(STOPPING.to_owned())),
        }
    }

    /// Has this node's archiver do these.
    async fn jobs(&self, jobs: Vec<Job>) -> Result<Vec<UpkeepStep>, UpkeepError> {
        let (steps, mut told) = mpsc::channel(STEPS_MAX);
        self.called(|reply| Message::Upkeep(jobs, steps, reply)).await??;
        let mut done = Vec::new();
        while let Some(step) = told.recv().await {
            done.push(step);
        }
        Ok(done)
    }

    pub(crate) async fn flush(&self) -> bool {
        matches!(self.actor.call(Message::Flush, None).await, Ok(CallResult::Success(true)))
    }

    pub(crate) async fn stop(&self) {
        crate::supervisor::join(&self.actor).await;
    }
}
