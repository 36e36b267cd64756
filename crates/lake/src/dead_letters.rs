//! Runs of rows that the lake refused for good: kept beside the shared table with the reason, until they are replayed.
//!
//! They lie where the lake lies, so they are as safe as its rows and every node can read them. A letter is one that its
//! shard's log names; a file that no log names is what a crash left behind, or a node that led no longer: an orphan. Other
//! removers of orphans (Spark's) pass over folders whose names begin with `_`.

mod file;
mod runs;

use std::sync::Arc;

use uuid::Uuid;
use watershed_schema::proto::DeadLetter;
use watershed_schema::{Row, Seq};

use crate::{Lake, LakeError, Rows};

/// Under the location of the shared table.
pub(crate) const FOLDER: &str = "_dead_letters";
pub(crate) const ENDING: &str = ".dead";
/// What is kept of a reason: it stands in the log, and in every snapshot of the shard.
const REASON_BYTES_MAX: usize = 1_024;
const TENANTS_MAX: usize = 16;

/// Why rows were given up.
#[derive(Clone, Copy, Debug)]
pub struct GivenUp<'a> {
    /// What the lake said last.
    pub reason: &'a str,
    /// How often.
    pub attempts: u32,
    /// Microseconds since the epoch.
    pub since_us: i64,
}

/// What became of a letter from which rows went.
#[derive(Clone, Debug, PartialEq)]
pub struct Struck {
    /// How many went.
    pub rows: u64,
    /// The letter without them, in a file of its own; `None` when none is left.
    pub left: Option<DeadLetter>,
}

impl Lake {
    /// Keeps rows, durably, under a name that no other file has.
    ///
    /// # Errors
    /// When the catalog or the storage fails.
    pub async fn put_letter(&self, rows: &Rows, why: GivenUp<'_>) -> Result<DeadLetter, LakeError> {
        let rows = &without(rows, |_| false);
        let name = format!("{}-{}-{}", rows.shard, rows.from_seq, rows.to_seq);
        let letter = DeadLetter {
            file: format!("{name}-{}{ENDING}", Uuid::now_v7()),
            name,
            shard: u32::from(rows.shard.0),
            from_seq_inclusive: rows.from_seq.0,
            to_seq_exclusive: rows.to_seq.0,
            rows: rows.len() as u64,
            reason: why.reason[..why.reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned(),
            attempts: why.attempts,
            since_us: why.since_us,
            tenants: rows.tenants().into_iter().take(TENANTS_MAX).map(str::to_owned).collect(),
        };
        let (io, path) = self.letter_file(&letter).await?;
        io.new_output(&path)?.write(file::encode(&letter, rows)).await?;
        Ok(letter)
    }

    /// The rows of a letter.
    ///
    /// # Errors
    /// [`LakeError::Letter`] for one that is damaged; when the catalog or the storage fails.
    pub async fn letter(&self, letter: &DeadLetter) -> Result<Rows, LakeError> {
        let (io, path) = self.letter_file(letter).await?;
        let bytes = io.new_input(&path)?.read().await?;
        file::decode(bytes).map_err(|reason| LakeError::Letter { name: letter.name.clone(), reason })
    }

    /// Writes a letter again without rows that go. The file of before stays: who names the new one in the log removes it.
    ///
    /// # Errors
    /// As [`Lake::letter`] and [`Lake::put_letter`].
    pub async fn strike(&self, letter: &DeadLetter, goes: impl Fn(&Row<'_>) -> bool + Send) -> Result<Struck, LakeError> {
        let rows = self.letter(letter).await?;
        let left = without(&rows, goes);
        let gone = (rows.len() - left.len()) as u64;
        if gone == 0 || left.is_empty() {
            let left = (gone == 0).then(|| letter.clone());
            return Ok(Struck { rows: gone, left });
        }
        let DeadLetter { reason, attempts, since_us, .. } = letter;
        let why = GivenUp { reason, attempts: *attempts, since_us: *since_us };
        Ok(Struck { rows: gone, left: Some(self.put_letter(&left, why).await?) })
    }

    /// Removes a letter's file; one that is gone is fine. Who calls it has told the log before.
    ///
    /// # Errors
    /// When the catalog or the storage fails.
    pub async fn remove_letter(&self, letter: &DeadLetter) -> Result<(), LakeError> {
        let (io, path) = self.letter_file(letter).await?;
        Ok(io.delete(&path).await?)
    }

    async fn letter_file(&self, letter: &DeadLetter) -> Result<(iceberg::io::FileIO, String), LakeError> {
        let table = self.shared.load().await?;
        let path = path(table.metadata().location(), letter);
        Ok((table.file_io().clone(), path))
    }
}

/// Where a letter of the table at this location lies.
pub(crate) fn path(location: &str, letter: &DeadLetter) -> String {
    format!("{}/{FOLDER}/{}", location.trim_end_matches('/'), letter.file)
}

/// The run's rows that stay. A number is a row's place in its batch, so a batch is cut where rows go.
fn without(rows: &Rows, goes: impl Fn(&Row<'_>) -> bool) -> Rows {
    let mut blocks = Vec::new();
    for (first, batch) in &rows.blocks {
        let kept = rows.inside(*first, batch).filter(|row| !goes(&batch.row(*row))).collect::<Vec<_>>();
        if kept.len() == batch.len() {
            blocks.push((*first, Arc::clone(batch)));
            continue;
        }
        for run in kept.chunk_by(|one, next| one + 1 == *next) {
            blocks.extend(batch.select(run).map(|part| (Seq(first.0 + run[0] as u64), part.into())));
        }
    }
    Rows { blocks, ..*rows }
}
