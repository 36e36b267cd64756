//! Upkeep of the lake by the one committer: between commits, on a thread of its own, so that the archiver answers and
//! stages meanwhile.
//!
//! Commits wait for a round that writes files, but not longer than its deadline: then it is ended, and what it has written
//! is left to the removal of orphans. The catalog's compare-and-swap guards the table in any case.

mod job;
mod settings;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use watershed_lake::Lake;
use watershed_schema::Epoch;
use watershed_schema::proto::UpkeepStep;

use crate::background;
use crate::shard::ShardHandle;

pub(crate) use job::Job;
pub use settings::Upkeep;

use job::Work;

/// Where somebody who asked for upkeep hears what was done; closed when all is.
pub(crate) type Steps = mpsc::Sender<UpkeepStep>;
/// Steps that wait to be heard.
pub(super) const STEPS_MAX: usize = 64;

/// The rounds of a node, one at a time.
pub(super) struct Rounds {
    lake: Arc<Lake>,
    shards: Vec<ShardHandle>,
    upkeep: Arc<Upkeep>,
    due: Vec<(Job, Instant)>,
    /// What people asked for comes first.
    asked: VecDeque<(Job, Steps)>,
    running: Option<Round>,
}

struct Round {
    job: Job,
    steps: Option<Steps>,
    since: Instant,
    /// Dropped: the round ends.
    stop: oneshot::Sender<()>,
    done: JoinHandle<io::Result<Next>>,
}

/// When there is something to do again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// There is more.
    Now,
    /// Nothing is left.
    Later,
    /// It failed.
    Retry,
    /// It was stopped before its end.
    Again,
}

impl Rounds {
    pub(super) fn new(lake: Arc<Lake>, shards: Vec<ShardHandle>, upkeep: Upkeep) -> Self {
        // A node that is started every day looks for orphans, too.
        let due = |job: Job| {
            let first = Instant::now() + job.interval(&upkeep).min(FIRST_MAX);
            (job, first)
        };
        let due = Job::of(&upkeep).into_iter().map(due).collect();
        Self { lake, shards, upkeep: Arc::new(upkeep), due, asked: VecDeque::new(), running: None }
    }

    /// Somebody asked for it: it is done before what is due.
    pub(super) fn ask(&mut self, job: Job, steps: Steps) {
        self.asked.push_back((job, steps));
    }

    /// A node that does not commit does nothing of what it was asked for.
    pub(super) fn forget_asked(&mut self) {
        for (job, steps) in self.asked.drain(..) {
            tell_failed(&job, &steps, "this node is no longer the committer");
        }
    }

    /// Whether a round runs that commits wait for; one beyond its deadline is ended.
    pub(super) async fn hold_commits(&mut self) -> bool {
        let Some(round) = &self.running else { return false };
        if round.done.is_finished() {
            self.end().await;
            return false;
        }
        if !round.job.writes_files() {
            return false;
        }
        if round.since.elapsed() < self.upkeep.deadline {
            return true;
        }
        let job = round.job.clone();
        metrics::counter!("watershed_upkeep_failures_total", "job" => job.word()).increment(1);
        tracing::warn!(job = job.word(), deadline = ?self.upkeep.deadline, "upkeep takes too long, it is ended");
        self.stop(Next::Retry).await;
        false
    }

    /// Ends the round that runs, if any, and waits for its end; it comes again.
    pub(super) async fn end(&mut self) {
        self.stop(Next::Again).await;
    }

    async fn stop(&mut self, unless_done: Next) {
        let Some(Round { job, steps, stop, done, .. }) = self.running.take() else { return };
        drop(stop);
        let next = done.await.map_err(io::Error::other).flatten().unwrap_or_else(|error| {
            tracing::error!(job = job.word(), %error, "upkeep died");
            Next::Retry
        });
        let next = if next == Next::Again { unless_done } else { next };
        match steps {
            Some(steps) if matches!(next, Next::Now | Next::Again) => self.asked.push_front((job, steps)),
            Some(steps) if next == Next::Retry && unless_done == Next::Retry => {
                tell_failed(&job, &steps, "it did not end, or took longer than upkeep_deadline");
            }
            Some(_told) => {}
            None => self.postpone(&job, next),
        }
    }

    fn postpone(&mut self, job: &Job, next: Next) {
        let wait = match next {
            Next::Now | Next::Again => Duration::ZERO,
            Next::Later => job.interval(&self.upkeep),
            Next::Retry => job.interval(&self.upkeep).min(RETRY_MAX),
        };
        let due = Instant::now() + wait;
        self.due.iter_mut().filter(|(other, _)| other == job).for_each(|(_, at)| *at = due);
    }

    /// Begins what was asked for, else what has been due for longest, if anything.
    pub(super) fn begin_if_due(&mut self, epoch: Epoch) {
        if self.running.is_some() {
            return;
        }
        let since = Instant::now();
        let due = || self.due.iter().filter(|(_, at)| *at <= since).min_by_key(|(_, at)| *at).map(|(job, _)| job.clone());
        let asked = self.asked.pop_front().map(|(job, steps)| (job, Some(steps)));
        let Some((job, steps)) = asked.or_else(|| Some((due()?, None))) else { return };
        let work = Work {
            lake: Arc::clone(&self.lake),
            shards: self.shards.clone(),
            upkeep: Arc::clone(&self.upkeep),
            epoch,
            steps: steps.clone(),
        };
        let ((stop, stopped), runtime, of) = (oneshot::channel(), tokio::runtime::Handle::current(), job.clone());
        // Decoding and encoding Parquet is CPU work that nobody waits for.
        let done = tokio::spawn(background::run("upkeep", move || runtime.block_on(Box::pin(work.run(&of, stopped)))));
        self.running = Some(Round { job, steps, since, stop, done });
    }
}

/// Who asked may be gone.
fn tell_failed(job: &Job, steps: &Steps, why: &str) {
    drop(steps.try_send(UpkeepStep { job: job.word().to_owned(), failed: why.to_owned(), ..UpkeepStep::default() }));
}

/// After the start.
const FIRST_MAX: Duration = Duration::from_secs(600);
/// What failed is tried again after this, if its interval is not shorter.
const RETRY_MAX: Duration = Duration::from_secs(300);
