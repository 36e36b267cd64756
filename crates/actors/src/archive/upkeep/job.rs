//! One round of one kind of upkeep: what it does and what is told of it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;
use watershed_lake::{Doomed, Lake, LakeError, Logged, OrphanRule};
use watershed_schema::Epoch;
use watershed_schema::proto::UpkeepStep;

use super::{Next, Steps, Upkeep};
use crate::shard::{ReadError, ShardHandle};

/// For what nobody wants to be done by itself; a clock can count so far.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Kinds of upkeep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Compaction,
    Expiry,
    Orphans {
        dry_run: bool,
    },
    /// What tenants keep no longer.
    Retention,
    /// What somebody wants to be gone.
    Deletion(Doomed),
}

impl Job {
    /// What is done without being asked for, the most urgent first.
    pub(super) fn of(upkeep: &Upkeep) -> Vec<Self> {
        let all = [Self::Compaction, Self::Retention, Self::Expiry, Self::Orphans { dry_run: false }];
        all.into_iter().filter(|job| job.every(upkeep).is_some()).collect()
    }

    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Compaction => "compaction",
            Self::Expiry => "expiry",
            Self::Orphans { .. } => "orphans",
            Self::Retention => "retention",
            Self::Deletion(_) => "deletion",
        }
    }

    fn every(&self, upkeep: &Upkeep) -> Option<Duration> {
        match self {
            Self::Compaction => upkeep.compaction_interval,
            Self::Expiry => upkeep.expiry_interval,
            Self::Orphans { .. } => upkeep.orphan_interval,
            Self::Retention => upkeep.retention_interval,
            Self::Deletion(_) => None,
        }
    }

    pub(super) fn interval(&self, upkeep: &Upkeep) -> Duration {
        self.every(upkeep).unwrap_or(NEVER).min(NEVER)
    }

    /// Whether a commit meanwhile would be its end.
    pub(super) fn writes_files(&self) -> bool {
        match self {
            Self::Compaction | Self::Retention | Self::Deletion(_) => true,
            Self::Expiry | Self::Orphans { .. } => false,
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error("what the logs name: {0}")]
    Logs(#[from] ReadError),
}

/// What a round works with.
pub(super) struct Work {
    pub(super) lake: Arc<Lake>,
    pub(super) shards: Vec<ShardHandle>,
    pub(super) upkeep: Arc<Upkeep>,
    pub(super) epoch: Epoch,
    pub(super) steps: Option<Steps>,
}

impl Work {
    /// Runs it once, unless it is `stopped`.
    pub(super) async fn run(self, job: &Job, stopped: oneshot::Receiver<()>) -> Next {
        let since = Instant::now();
        let done = tokio::select! {
            done = self.one(job) => done,
            _ = stopped => return Next::Again,
        };
        let took = since.elapsed();
        metrics::histogram!("watershed_upkeep_seconds", "job" => job.word()).record(took);
        let (next, step) = match done {
            Ok(Some(step)) => {
                log(job, &step, took);
                (if job.writes_files() { Next::Now } else { Next::Later }, step)
            }
            Ok(None) => (Next::Later, UpkeepStep::default()),
            Err(error) => {
                metrics::counter!("watershed_upkeep_failures_total", "job" => job.word()).increment(1);
                tracing::warn!(job = job.word(), %error, "upkeep failed, it is tried again");
                (Next::Retry, UpkeepStep { failed: error.to_string(), ..UpkeepStep::default() })
            }
        };
        if let Some(steps) = &self.steps {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            // Who asked may be gone, or hears no more than so many steps.
            drop(steps.try_send(UpkeepStep { job: job.word().to_owned(), micros, ..step }));
        }
        next
    }

    async fn one(&self, job: &Job) -> Result<Option<UpkeepStep>, Failed> {
        match job {
            Job::Compaction => self.compact().await,
            Job::Expiry => self.expire().await,
            Job::Orphans { dry_run } => self.remove_orphans(*dry_run).await,
            Job::Retention => self.delete(&self.upkeep.too_old(now_us())).await,
            Job::Deletion(doomed) => self.delete(doomed).await,
        }
    }

    async fn compact(&self) -> Result<Option<UpkeepStep>, Failed> {
        let Some(done) = self.lake.compact(&self.upkeep.compaction, self.epoch).await? else { return Ok(None) };
        metrics::counter!("watershed_compaction_rounds_total").increment(1);
        metrics::counter!("watershed_compaction_files_replaced_total").increment(count(done.files_before));
        metrics::counter!("watershed_compaction_files_written_total").increment(count(done.files_after));
        metrics::counter!("watershed_compaction_bytes_replaced_total").increment(done.bytes_before);
        metrics::counter!("watershed_compaction_bytes_written_total").increment(done.bytes_after);
        Ok(Some(UpkeepStep {
            files_removed: count(done.files_before),
            files_added: count(done.files_after),
            bytes_removed: done.bytes_before,
            bytes_added: done.bytes_after,
            ..UpkeepStep::default()
        }))
    }

    async fn expire(&self) -> Result<Option<UpkeepStep>, Failed> {
        let Some(done) = self.lake.expire(&self.upkeep.snapshots, self.epoch).await? else { return Ok(None) };
        metrics::counter!("watershed_snapshots_expired_total").increment(count(done.snapshots));
        metrics::counter!("watershed_expired_files_deleted_total").increment(count(done.files));
        let (snapshots_removed, files_removed) = (count(done.snapshots), count(done.files));
        Ok(Some(UpkeepStep { snapshots_removed, files_removed, ..UpkeepStep::default() }))
    }

    async fn delete(&self, doomed: &Doomed) -> Result<Option<UpkeepStep>, Failed> {
        let Some(done) = self.lake.delete(doomed, &self.upkeep.compaction, self.epoch).await? else { return Ok(None) };
        metrics::counter!("watershed_lake_rows_deleted_total").increment(done.rows);
        Ok(Some(UpkeepStep {
            rows_removed: done.rows,
            files_removed: count(done.files_before),
            files_added: count(done.files_after),
            bytes_removed: done.bytes_before,
            bytes_added: done.bytes_after,
            ..UpkeepStep::default()
        }))
    }

    async fn remove_orphans(&self, dry_run: bool) -> Result<Option<UpkeepStep>, Failed> {
        let mut logged = Logged::default();
        for shard in &self.shards {
            let (_, ranges) = shard.staged().await?;
            logged.files.extend(ranges.iter().flat_map(|range| range.files.all().cloned()));
            logged.letters.extend_from_slice(&shard.dead_letters().await?);
        }
        let rule = OrphanRule { dry_run, ..self.upkeep.orphans };
        let found = self.lake.remove_orphans(&rule, &logged, self.epoch).await?;
        if found.files == 0 {
            return Ok(None);
        }
        let files_removed = count(found.files - found.files_left);
        if !dry_run {
            metrics::counter!("watershed_orphans_deleted_total").increment(files_removed);
        }
        Ok(Some(UpkeepStep { files_removed, bytes_removed: found.bytes, names: found.names, ..UpkeepStep::default() }))
    }
}

fn log(job: &Job, step: &UpkeepStep, took: Duration) {
    tracing::info!(
        job = job.word(),
        files_removed = step.files_removed,
        files_added = step.files_added,
        bytes_removed = step.bytes_removed,
        bytes_added = step.bytes_added,
        rows_removed = step.rows_removed,
        snapshots_removed = step.snapshots_removed,
        seconds = took.as_secs_f64(),
        "upkeep"
    );
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}
