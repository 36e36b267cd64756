//! What a node can be asked of the lake.

use watershed_lake::Rows;
use watershed_schema::proto::{DeadLetter, Purged, Replayed, UpkeepStep};
use watershed_schema::{Seq, ShardId, TenantId};

use super::Node;
use crate::archive::ArchiverHandle;

impl Node {
    /// Archives everything that is committed now and waits for the snapshot. `false`: it could not, now.
    pub async fn flush(&self) -> bool {
        match &self.inner.archiver {
            Some(archiver) => archiver.flush().await,
            None => false,
        }
    }

    /// What the lake refused for good, of all shards.
    ///
    /// # Errors
    /// When a shard does not answer.
    pub async fn dead_letters(&self) -> Result<Vec<DeadLetter>, String> {
        let Some(archiver) = &self.inner.archiver else { return Ok(Vec::new()) };
        archiver.dead_letters().await.map_err(|error| error.to_string())
    }

    /// A letter and its rows; `None`: there is no such letter.
    ///
    /// # Errors
    /// When a shard does not answer, or the letter cannot be read.
    pub async fn dead_letter(&self, name: &str) -> Result<Option<(DeadLetter, Rows)>, String> {
        let Some(archiver) = &self.inner.archiver else { return Ok(None) };
        archiver.dead_letter(name).await.map_err(|error| error.to_string())
    }

    /// Runs of a tenant's events in a shard that are in dead letters, within `[from, to)`, in order.
    ///
    /// # Errors
    /// When the letters cannot be read.
    pub async fn lettered(&self, tenant: &TenantId, shard: ShardId, within: (Seq, Seq)) -> Result<Vec<(Seq, Seq)>, String> {
        let Some(archiver) = &self.inner.archiver else { return Ok(Vec::new()) };
        archiver.lettered(tenant, shard, within).await.map_err(|error| error.to_string())
    }

    /// How many dead letters there are in the shards of which this node has a replica.
    #[must_use]
    pub fn dead_letter_count(&self) -> usize {
        self.inner.archiver.as_ref().map_or(0, |archiver| archiver.dead_letter_count())
    }

    /// Has the committer write dead letters into the lake after all; no names: all of them.
    ///
    /// # Errors
    /// Why none could be tried; why a single one was refused stands in its answer.
    pub async fn replay_dead_letters(&self, names: Vec<String>) -> Result<Vec<Replayed>, String> {
        self.archiver()?.replay(names).await.map_err(|error| error.to_string())
    }

    /// Has the committer give dead letters up: their rows are nowhere any longer. `*`: all of them.
    ///
    /// # Errors
    /// Why none could be tried; why a single one was not stands in its answer.
    pub async fn purge_dead_letters(&self, names: Vec<String>) -> Result<Vec<Purged>, String> {
        self.archiver()?.purge(names).await.map_err(|error| error.to_string())
    }

    /// Has the committer keep the lake in shape now: what was done, round by round. `dry_run`: only looks for orphans.
    ///
    /// # Errors
    /// When this node has no lake, nobody commits now, or the committer went while it was at it.
    pub async fn maintain(&self, dry_run: bool) -> Result<Vec<UpkeepStep>, String> {
        self.archiver()?.maintain(dry_run).await.map_err(|error| error.to_string())
    }

    /// Has the committer take a tenant's rows out of the lake, or those of one of its actors, with all that is committed
    /// now on any node: what was done, round by round. Rows in dead letters go, too; where they may remain is a failed step.
    ///
    /// # Errors
    /// When this node has no lake, nobody commits now, or what is committed cannot be archived: then nothing is deleted.
    pub async fn delete(&self, tenant: &TenantId, actor: Option<String>) -> Result<Vec<UpkeepStep>, String> {
        self.archiver()?.delete(tenant.as_str().to_owned(), actor).await.map_err(|error| error.to_string())
    }

    fn archiver(&self) -> Result<&ArchiverHandle, String> {
        self.inner.archiver.as_deref().ok_or_else(|| "this node has no lake".to_owned())
    }
}
