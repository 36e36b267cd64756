//! What the lake refuses for good becomes a dead letter, so that the rows behind it can be archived; and back again.
//!
//! The rows lie beside the lake, the shard's log names them: a letter is there on every replica, or on none.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use futures::future::try_join_all;
use watershed_lake::{GivenUp, Lake, LakeError, Rows, Staged};
use watershed_schema::proto::{DeadLetter, PeerDoomed, Purged, Replayed, UpkeepStep};
use watershed_schema::{Column, Row, Term, Value};

use super::{ArchiveError, Archiver, commit, stage};
use crate::shard::{Replica, ShardHandle};

/// So many refusals of a shard are no matter of single rows: the rest waits in the hot tier, where it can be read.
const LETTERS_MAX: usize = 32;
/// Instead of a name.
const ALL: &str = "*";
/// The word for it among the steps of upkeep.
const JOB: &str = "dead-letters";

/// A letter and the shard whose log names it.
type Found = (ShardHandle, DeadLetter);

impl Archiver {
    /// Counts a refusal of a run. After the last attempt its bad rows are put aside: the files of the good ones, and where
    /// the bad ones are.
    pub(super) async fn refused(
        &mut self,
        (here, term): (&Replica, Term),
        rows: Rows,
        error: LakeError,
    ) -> Result<(Staged, Option<DeadLetter>), ArchiveError> {
        let before = self.refused.get(&rows.shard).filter(|(at, _)| *at == rows.from_seq).map_or(0, |(_, attempts)| *attempts);
        let attempts = before + 1;
        self.refused.insert(rows.shard, (rows.from_seq, attempts));
        if attempts < self.due.attempts || here.dead_letters().len() >= LETTERS_MAX {
            return Err(error.into());
        }
        let (good, bad) = parted(rows);
        let files = stage::write_apart(&self.lake, (good, term)).await?;
        let reason = error.to_string();
        let letter = self.lake.put_letter(&bad, GivenUp { reason: &reason, attempts, since_us: now_us() }).await?;
        metrics::counter!("watershed_dead_letters_total").increment(1);
        tracing::error!(letter = letter.name, rows = letter.rows, %error, "the lake refuses these rows: kept as a dead letter");
        Ok((files, Some(letter)))
    }

    /// Writes letters into the lake after all; what is refused again stays. No names: all.
    pub(super) async fn replay(&mut self, names: &[String]) -> Result<Vec<Replayed>, ArchiveError> {
        let (found, unknown) = self.named(if names.is_empty() { None } else { Some(names) }).await?;
        self.upkeep.end().await;
        // A letter is there once its run is staged; replayed it can be once that is in a snapshot.
        commit::commit(&self.shards, &self.lake, self.epoch()).await?;
        let mut replayed = Vec::new();
        for (shard, letter) in found {
            let refused = self.replay_one(&shard, &letter).await.err().map(|error| error.to_string());
            replayed.push(Replayed { name: letter.name, refused: refused.unwrap_or_default() });
        }
        replayed.extend(unknown.into_iter().map(|name| Replayed { name, refused: no_such() }));
        Ok(replayed)
    }

    async fn replay_one(&self, shard: &ShardHandle, letter: &DeadLetter) -> Result<(), ArchiveError> {
        let rows = self.lake.letter(letter).await?;
        self.lake.replay(&rows, self.epoch()).await?;
        fail::fail_point!("archive::after_replay");
        change(shard, &self.lake, letter, None).await
    }

    /// Gives letters up.
    pub(super) async fn purge(&self, names: &[String]) -> Result<Vec<Purged>, ArchiveError> {
        let (found, unknown) = self.named((!names.iter().any(|name| name == ALL)).then_some(names)).await?;
        let mut purged = Vec::new();
        for (shard, letter) in found {
            let refused = change(&shard, &self.lake, &letter, None).await.err().map(|error| error.to_string());
            if refused.is_none() {
                metrics::counter!("watershed_dead_letters_purged_rows_total").increment(letter.rows);
                tracing::warn!(letter = letter.name, rows = letter.rows, "purged: these rows are nowhere any longer");
            }
            purged.push(Purged { rows: letter.rows, name: letter.name, refused: refused.unwrap_or_default() });
        }
        purged.extend(unknown.into_iter().map(|name| Purged { name, rows: 0, refused: no_such() }));
        Ok(purged)
    }

    /// Takes a tenant's rows out of the letters, or those of one of its actors; what was done, if anything, and where rows
    /// may remain.
    pub(super) async fn forget(&self, doomed: &PeerDoomed) -> Vec<UpkeepStep> {
        let mut done = UpkeepStep { job: JOB.to_owned(), ..UpkeepStep::default() };
        let mut steps = Vec::new();
        for shard in &self.shards {
            if let Err(error) = self.forget_of(shard, doomed, &mut done).await {
                let failed = format!("shard {}: rows in its dead letters may remain, delete again: {error}", shard.id());
                steps.push(UpkeepStep { job: JOB.to_owned(), failed, ..UpkeepStep::default() });
            }
        }
        steps.extend((done.rows_removed > 0).then_some(done));
        steps
    }

    async fn forget_of(&self, shard: &ShardHandle, doomed: &PeerDoomed, done: &mut UpkeepStep) -> Result<(), ArchiveError> {
        for letter in shard.dead_letters().await?.iter() {
            let struck = self.lake.strike(letter, |row| goes(row, doomed)).await?;
            if struck.rows > 0 {
                done.files_removed += u64::from(struck.left.is_none());
                change(shard, &self.lake, letter, struck.left).await?;
                done.rows_removed += struck.rows;
            }
        }
        Ok(())
    }

    /// The letters with these names, and the names of none; no names: all.
    async fn named(&self, names: Option<&[String]>) -> Result<(Vec<Found>, Vec<String>), ArchiveError> {
        let mut found = of_all(&self.shards).await?;
        let Some(names) = names else { return Ok((found, Vec::new())) };
        found.retain(|(_, letter)| names.contains(&letter.name));
        let unknown = names.iter().filter(|name| !found.iter().any(|(_, letter)| letter.name == **name)).cloned().collect();
        Ok((found, unknown))
    }
}

/// Letters of every shard.
pub(super) async fn of_all(shards: &[ShardHandle]) -> Result<Vec<Found>, ArchiveError> {
    let of_shard = async |shard: &ShardHandle| {
        let letters = shard.dead_letters().await?;
        Ok::<_, ArchiveError>(letters.iter().map(|letter| (shard.clone(), letter.clone())).collect::<Vec<_>>())
    };
    Ok(try_join_all(shards.iter().map(of_shard)).await?.concat())
}

/// After a start: ends what was replayed before a crash could be told, for a snapshot that says so may expire.
pub(super) async fn recover(shards: &[ShardHandle], lake: &Lake) -> Result<(), ArchiveError> {
    for (shard, letter) in of_all(shards).await? {
        if lake.has_replayed(&letter).await? {
            change(&shard, lake, &letter, None).await?;
        }
    }
    Ok(())
}

/// Before letters lay beside the lake they lay here.
pub(super) fn tell_of_former(data_dir: &Path) {
    let folder = data_dir.join("dead-letters");
    if folder.read_dir().is_ok_and(|mut files| files.next().is_some()) {
        tracing::error!(folder = %folder.display(), "dead letters of an older version are here, which this one does not read");
    }
}

/// The log first: it must never name a file that is gone. A file that stays is an orphan, and goes as such.
async fn change(shard: &ShardHandle, lake: &Lake, letter: &DeadLetter, now: Option<DeadLetter>) -> Result<(), ArchiveError> {
    if !shard.change_letter(&letter.file, now).await? {
        return Err(ArchiveError::LetterChanged(letter.name.clone()));
    }
    if let Err(error) = lake.remove_letter(letter).await {
        tracing::warn!(letter = letter.name, %error, "its file stays for now");
    }
    Ok(())
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

fn no_such() -> String {
    "there is no such letter".to_owned()
}

fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}
