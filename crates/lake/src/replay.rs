//! Rows that were refused before, into the table after all: with the places they had, below the watermark.
//!
//! They go to the tables that their tenants have now, as all rows do that are written: a letter need not know where its rows
//! were to go, for readers look into both, and a table that was listed then may not be wanted any longer.

use iceberg::table::Table;
use uuid::Uuid;
use watershed_schema::proto::DeadLetter;
use watershed_schema::{Epoch, Seq};

use crate::commit::applied;
use crate::table::watermark_of;
use crate::{CommitRequest, Committed, Lake, LakeError, Rows};

impl Lake {
    /// Adds rows below the watermark. The commit is named after the run, so a second replay of it adds nothing.
    ///
    /// # Errors
    /// [`LakeError::NotArchived`] for rows that the hot tier still shows, else as [`Lake::write`] and [`Lake::commit`].
    pub async fn replay(&self, rows: &Rows, epoch: Epoch) -> Result<Committed, LakeError> {
        let commit_id = name_of((u32::from(rows.shard.0), rows.from_seq, rows.to_seq));
        let shared = self.shared.load().await?;
        if let Some(done) = applied(&shared, commit_id) {
            return Ok(done);
        }
        let watermark = watermark_of(&shared)?.get(&rows.shard).copied().unwrap_or(Seq::FIRST);
        if rows.to_seq > watermark {
            return Err(LakeError::NotArchived { shard: rows.shard, to: rows.to_seq, watermark });
        }
        let left = self.not_in_own(&shared, rows, commit_id).await?;
        let replayed = self.write_apart(&left, epoch).await?;
        self.commit(&CommitRequest { ranges: Vec::new(), replayed, epoch, commit_id }).await
    }

    /// Whether a replay of this run came to its end.
    ///
    /// # Errors
    /// When the catalog or the storage fails.
    pub async fn has_replayed(&self, letter: &DeadLetter) -> Result<bool, LakeError> {
        let run = (letter.shard, Seq(letter.from_seq_inclusive), Seq(letter.to_seq_exclusive));
        Ok(applied(&self.shared.load().await?, name_of(run)).is_some())
    }

    /// Without what an attempt before has brought into own tables, whether or not they are written to by now.
    async fn not_in_own(&self, shared: &Table, rows: &Rows, commit_id: Uuid) -> Result<Rows, LakeError> {
        let mut left = rows.clone();
        for own in self.shared.own_tables(shared)? {
            let Some(tenant) = own.tenant.as_ref().filter(|tenant| !left.of(tenant).blocks.is_empty()) else { continue };
            if applied(&own.load().await?, commit_id).is_some() {
                left.blocks.retain(|(_, batch)| batch.tenant() != tenant);
            }
        }
        Ok(left)
    }
}

fn name_of((shard, from, to): (u32, Seq, Seq)) -> Uuid {
    // Bytes 6 and 8 belong to the UUID's version and variant.
    let mut name = [0; 16];
    name[..6].copy_from_slice(&from.0.to_be_bytes()[2..]);
    name[9..14].copy_from_slice(&(to.0 - from.0).to_be_bytes()[3..]);
    name[14..].copy_from_slice(&shard.to_be_bytes()[2..]);
    Uuid::new_v8(name)
}
