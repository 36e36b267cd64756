//! Committed rows to data files, and the word of it into the shard's log.

use std::sync::Arc;

use watershed_hot::ScanRequest;
use watershed_lake::{Lake, LakeError, Rows, Staged};
use watershed_schema::{Epoch, Seq, Term};

use super::{ArchiveError, Archiver, Due};
use crate::background;
use crate::shard::{Replica, ShardHandle, StagedFiles};

impl Archiver {
    /// Stages what is due of a shard, file set by file set.
    pub(super) async fn stage(&mut self, shard: &ShardHandle, here: &Replica, everything: bool) -> Result<(), ArchiveError> {
        let Some(term) = here.leads_in() else { return Ok(()) };
        let end = here.positions().tail();
        while let Some(from_seq) = self.next_run(here, end, everything) {
            let turn = self.lake.turn().await;
            let rows = collect(here, from_seq, end, self.due).await?;
            let range = self.write((here, term), rows).await?;
            drop(turn);
            fail::fail_point!("archive::before_staged");
            shard.stage(&range).await?;
            fail::fail_point!("archive::after_staged");
        }
        Ok(())
    }

    /// Where the next run begins, when one is due.
    fn next_run(&self, here: &Replica, end: Seq, everything: bool) -> Option<Seq> {
        let staged = here.positions().staged();
        let waiting = end.0.saturating_sub(staged.0);
        let old = || here.unstaged_since().is_some_and(|since| since.elapsed() >= self.due.interval);
        (waiting > 0 && (everything || waiting >= self.due.rows || old())).then_some(staged)
    }

    /// Files of a run; rows that were refused for good often enough become a dead letter.
    async fn write(&mut self, (here, term): (&Replica, Term), rows: Rows) -> Result<StagedFiles, ArchiveError> {
        let (shard, from_seq, to_seq) = (rows.shard, rows.from_seq, rows.to_seq);
        let (files, letter) = match write(&self.lake, (rows.clone(), term)).await {
            Err(ArchiveError::Lake(error)) if error.is_permanent() => self.refused((here, term), rows, error).await?,
            done => (done?, None),
        };
        self.refused.remove(&shard);
        Ok(StagedFiles { from_seq, to_seq, files: files.into(), letter: letter.map(Box::new) })
    }
}

/// A run of rows that becomes one file set.
async fn collect(here: &Replica, from_seq: Seq, end: Seq, due: Due) -> Result<Rows, ArchiveError> {
    let mut rows = Rows { shard: here.id(), from_seq, to_seq: from_seq, blocks: Vec::new() };
    let mut bytes = 0;
    while rows.to_seq < end && rows.to_seq.0 - from_seq.0 < due.rows && bytes < due.bytes {
        let page = here.read(ScanRequest { to_seq_exclusive: end, ..ScanRequest::from(rows.to_seq) }).await?;
        bytes += page.blocks.iter().map(|(_, batch)| batch.body().len()).sum::<usize>();
        rows.blocks.extend(page.blocks);
        rows.to_seq = page.next;
    }
    Ok(rows)
}

/// Files are named after the term of who leads the shard: one that was deposed may be writing the same run still.
async fn write(lake: &Arc<Lake>, (rows, term): (Rows, Term)) -> Result<Staged, ArchiveError> {
    on_thread(lake, async move |lake: &Lake| lake.write(&rows, Epoch(term.0)).await).await
}

/// The same for a part of a run.
pub(super) async fn write_apart(lake: &Arc<Lake>, (rows, term): (Rows, Term)) -> Result<Staged, ArchiveError> {
    on_thread(lake, async move |lake: &Lake| lake.write_apart(&rows, Epoch(term.0)).await).await
}

/// Columns and Parquet are CPU work that no acknowledgement waits for.
async fn on_thread(
    lake: &Arc<Lake>,
    work: impl AsyncFnOnce(&Lake) -> Result<Staged, LakeError> + Send + 'static,
) -> Result<Staged, ArchiveError> {
    let (lake, runtime) = (Arc::clone(lake), tokio::runtime::Handle::current());
    let files = background::run("archive", move || runtime.block_on(work(&lake))).await;
    Ok(files.map_err(ArchiveError::Thread)??)
}
