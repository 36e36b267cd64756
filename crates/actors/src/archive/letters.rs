//! What the lake refuses for good becomes a dead letter, so that the rows behind it can be archived; and back again.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use watershed_lake::{DeadLetters, LakeError, Rows, Staged};
use watershed_schema::proto::{DeadLetter, PeerDoomed, PeerLetters, PeerRun, Replayed, UpkeepStep};
use watershed_schema::{Column, Row, Seq, ShardId, Value};

use super::{ArchiveError, Archiver, stage};
use crate::shard::ShardHandle;

/// So many refusals are no matter of single rows: the rest waits in the hot tier, where it can be read.
const LETTERS_MAX: usize = 100;

impl Archiver {
    /// Counts a refusal of a run. After the last attempt its bad rows are put aside: the files of the good ones.
    pub(super) async fn refused(&mut self, rows: Rows, error: LakeError) -> Result<Staged, ArchiveError> {
        let before = self.refused.get(&rows.shard).filter(|(at, _)| *at == rows.from_seq).map_or(0, |(_, attempts)| *attempts);
        let attempts = before + 1;
        self.refused.insert(rows.shard, (rows.from_seq, attempts));
        if attempts < self.due.attempts || count(&self.shards, &self.letters)? >= LETTERS_MAX {
            return Err(error.into());
        }
        let (good, bad) = parted(rows);
        let letter = self.letters.put(&bad, &error.to_string(), attempts, now_us())?;
        metrics::counter!("watershed_dead_letters_total").increment(1);
        tracing::error!(letter = letter.name, rows = letter.rows, %error, "the lake refuses these rows: kept as a dead letter");
        stage::write(&self.lake, good, self.epoch()).await
    }

    /// Writes letters into the lake after all; what is refused again stays.
    pub(super) async fn replay(&mut self, names: &[String]) -> Result<Vec<Replayed>, ArchiveError> {
        let mut replayed = Vec::new();
        for letter in list(&self.shards, &self.letters)? {
            if names.is_empty() || names.contains(&letter.name) {
                let refused = self.replay_one(&letter.name).await.err().map(|error| error.to_string());
                replayed.push(Replayed { name: letter.name, refused: refused.unwrap_or_default() });
            }
        }
        let known = |name: &&String| !replayed.iter().any(|one| one.name == **name);
        let unknown: Vec<_> = names.iter().filter(known).cloned().collect();
        replayed.extend(unknown.into_iter().map(|name| Replayed { name, refused: "there is no such letter".to_owned() }));
        Ok(replayed)
    }

    async fn replay_one(&mut self, name: &str) -> Result<(), ArchiveError> {
        self.upkeep.end().await;
        let rows = self.letters.rows(name)?;
        self.lake.replay(&rows, self.epoch()).await?;
        fail::fail_point!("archive::after_replay");
        Ok(self.letters.remove(name)?)
    }
}

/// Letters of every shard.
pub(super) fn list(shards: &[ShardHandle], letters: &DeadLetters) -> io::Result<Vec<DeadLetter>> {
    let of_shard = |shard: &ShardHandle| letters.list(shard.id(), shard.positions().staged());
    Ok(shards.iter().map(of_shard).collect::<io::Result<Vec<_>>>()?.concat())
}

/// Number of letters of every shard.
pub(super) fn count(shards: &[ShardHandle], letters: &DeadLetters) -> io::Result<usize> {
    shards.iter().map(|shard| letters.count(shard.id(), shard.positions().staged())).sum()
}

/// Which events of a tenant are in letters.
pub(super) fn runs(letters: &DeadLetters, asked: &PeerLetters) -> io::Result<Vec<PeerRun>> {
    let shard = u16::try_from(asked.shard).map_err(io::Error::other)?;
    let within = (Seq(asked.from_seq_inclusive), Seq(asked.to_seq_exclusive));
    let run = |(from, to): (Seq, Seq)| PeerRun { from_seq_inclusive: from.0, to_seq_exclusive: to.0 };
    Ok(letters.runs(&asked.tenant, ShardId(shard), within)?.into_iter().map(run).collect())
}

/// The word for it among the steps of upkeep.
pub(super) const JOB: &str = "dead-letters";

/// Takes a tenant's rows out of the letters, or those of one of its actors; what was done, if anything.
pub(super) fn forget(shards: &[ShardHandle], letters: &DeadLetters, doomed: &PeerDoomed) -> io::Result<Option<UpkeepStep>> {
    let mut step = UpkeepStep { job: JOB.to_owned(), ..UpkeepStep::default() };
    for letter in list(shards, letters)? {
        let gone = letters.forget(&letter, |row| goes(row, doomed))?;
        step.rows_removed += gone;
        step.files_removed += u64::from(gone == letter.rows);
    }
    Ok((step.rows_removed > 0).then_some(step))
}

/// A row that cannot be read goes with its tenant's, which its batch names.
fn goes(row: &Row<'_>, doomed: &PeerDoomed) -> bool {
    let is = |column, wanted: &str| match row.get(column) {
        Ok(value) => value.and_then(Value::as_str) == Some(wanted),
        Err(_) => true,
    };
    let is_actor = || is(Column::ActorId, &doomed.actor) || is(Column::AnonymousId, &doomed.actor);
    is(Column::Ns, &doomed.tenant) && (doomed.actor.is_empty() || is_actor())
}

/// Rows that are fine and rows that are not; where no single one is to blame, all.
fn parted(rows: Rows) -> (Rows, Rows) {
    let (good, bad) = rows.sift();
    if bad.is_empty() { (bad, good) } else { (good, bad) }
}

fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}
