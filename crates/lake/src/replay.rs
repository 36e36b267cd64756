//! Rows that were refused before, into the table after all: with the places they had, below the watermark.

use uuid::Uuid;
use watershed_schema::{Epoch, Seq};

use crate::commit::applied;
use crate::{CommitRequest, Committed, Lake, LakeError, Rows};

impl Lake {
    /// Adds rows below the watermark. The commit is named after the run, so a second replay of it adds nothing.
    ///
    /// # Errors
    /// [`LakeError::NotArchived`] for rows that the hot tier still shows, else as [`Lake::write`] and [`Lake::commit`].
    pub async fn replay(&self, rows: &Rows, epoch: Epoch) -> Result<Committed, LakeError> {
        let commit_id = name_of(rows);
        let table = self.load().await?;
        if let Some(done) = applied(&table, commit_id) {
            return Ok(done);
        }
        let watermark = self.watermark().await?.get(&rows.shard).copied().unwrap_or(Seq::FIRST);
        if rows.to_seq > watermark {
            return Err(LakeError::NotArchived { shard: rows.shard, to: rows.to_seq, watermark });
        }
        let replayed = self.write(rows, epoch).await?;
        self.commit(&CommitRequest { ranges: Vec::new(), replayed, epoch, commit_id }).await
    }
}

fn name_of(rows: &Rows) -> Uuid {
    // Bytes 6 and 8 belong to the UUID's version and variant.
    let mut name = [0; 16];
    name[..6].copy_from_slice(&rows.from_seq.0.to_be_bytes()[2..]);
    name[9..14].copy_from_slice(&(rows.to_seq.0 - rows.from_seq.0).to_be_bytes()[3..]);
    name[14..].copy_from_slice(&rows.shard.0.to_be_bytes());
    Uuid::new_v8(name)
}
