//! Dead letters for who reads: any node sees those of every shard, and opens them where the lake lies.

use std::sync::Arc;

use watershed_lake::Rows;
use watershed_schema::proto::DeadLetter;
use watershed_schema::{Seq, ShardId, TenantId};

use super::{ArchiveError, ArchiverHandle, letters};
use crate::shard::ShardHandle;

impl ArchiverHandle {
    /// What the lake refused, of all shards.
    pub(crate) async fn dead_letters(&self) -> Result<Vec<DeadLetter>, ArchiveError> {
        Ok(letters::of_all(&self.shards).await?.into_iter().map(|(_, letter)| letter).collect())
    }

    /// A letter and its rows; `None`: there is no such letter.
    pub(crate) async fn dead_letter(&self, name: &str) -> Result<Option<(DeadLetter, Rows)>, ArchiveError> {
        let Some((_, letter)) = letters::of_all(&self.shards).await?.into_iter().find(|(_, letter)| letter.name == name) else {
            return Ok(None);
        };
        let rows = self.lake.letter(&letter).await?;
        Ok(Some((letter, rows)))
    }

    /// How many there are in the shards of which this node has a replica.
    pub(crate) fn dead_letter_count(&self) -> usize {
        self.shards.iter().filter_map(ShardHandle::replica).map(|replica| replica.dead_letters().len()).sum()
    }

    /// Runs of a tenant's events within `[from, to)` of a shard that are in letters; in order.
    pub(crate) async fn lettered(
        &self,
        tenant: &TenantId,
        shard: ShardId,
        (from, to): (Seq, Seq),
    ) -> Result<Vec<(Seq, Seq)>, ArchiveError> {
        let shard = &self.shards[usize::from(shard.0)];
        let mut runs = Vec::new();
        for letter in known(shard).await?.iter().filter(|letter| is_within(letter, (from, to))) {
            match self.lake.letter(letter).await {
                Ok(rows) => runs.extend(rows.runs_of(tenant, (from, to))),
                Err(error) if known(shard).await?.contains(letter) => return Err(error.into()),
                Err(_it_was_replayed_or_purged_in_between) => {}
            }
        }
        Ok(runs)
    }
}

/// What a replica here knows is enough: what it has trimmed is staged by its own word.
async fn known(shard: &ShardHandle) -> Result<Arc<Vec<DeadLetter>>, ArchiveError> {
    match shard.here() {
        Some(replica) => Ok(replica.dead_letters()),
        None => Ok(shard.dead_letters().await?),
    }
}

fn is_within(letter: &DeadLetter, (from, to): (Seq, Seq)) -> bool {
    letter.from_seq_inclusive < to.0 && letter.to_seq_exclusive > from.0
}
