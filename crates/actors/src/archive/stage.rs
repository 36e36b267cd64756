//! Committed rows to data files, and the word of it into the shard's log.

use std::sync::Arc;

use watershed_hot::ScanRequest;
use watershed_lake::{FileName, Lake};
use watershed_schema::arrow::ColumnsBuilder;
use watershed_schema::{Column, Epoch, EventBatch, Seq};

use super::{ArchiveError, Due};
use crate::shard::{ShardHandle, StagedFiles};

/// A run of events that becomes one file set.
struct Run {
    from_seq: Seq,
    to_seq: Seq,
    blocks: Vec<(Seq, Arc<EventBatch>)>,
}

/// Stages what is due, file set by file set.
pub(super) async fn stage(
    shard: &ShardHandle,
    lake: &Arc<Lake>,
    due: Due,
    everything: bool,
    epoch: Epoch,
) -> Result<(), ArchiveError> {
    let end = shard.positions().tail();
    loop {
        let staged = shard.positions().staged();
        let rows = end.0.saturating_sub(staged.0);
        let old = shard.unstaged_since().is_some_and(|since| since.elapsed() >= due.interval);
        if rows == 0 || !(everything || old || rows >= due.rows) {
            return Ok(());
        }
        let run = collect(shard, staged, end, due).await?;
        let range = write(shard, lake, run, epoch).await?;
        fail::fail_point!("archive::before_staged");
        shard.stage(&range).await?;
        fail::fail_point!("archive::after_staged");
    }
}

async fn collect(shard: &ShardHandle, from_seq: Seq, end: Seq, due: Due) -> Result<Run, ArchiveError> {
    let mut run = Run { from_seq, to_seq: from_seq, blocks: Vec::new() };
    let mut bytes = 0;
    while run.to_seq < end && run.to_seq.0 - from_seq.0 < due.rows && bytes < due.bytes {
        let page = shard.read(ScanRequest { to_seq_exclusive: end, ..ScanRequest::from(run.to_seq) }).await?;
        bytes += page.blocks.iter().map(|(_, batch)| batch.body().len()).sum::<usize>();
        run.blocks.extend(page.blocks);
        run.to_seq = page.next;
    }
    Ok(run)
}

/// Columns and Parquet are CPU work: it has a thread of its own.
async fn write(shard: &ShardHandle, lake: &Arc<Lake>, run: Run, epoch: Epoch) -> Result<StagedFiles, ArchiveError> {
    let (id, lake, runtime) = (shard.id(), Arc::clone(lake), tokio::runtime::Handle::current());
    let name = FileName { shard: id, from_seq: run.from_seq, to_seq: run.to_seq, epoch };
    let files = tokio::task::spawn_blocking(move || {
        let mut columns = ColumnsBuilder::new(Column::ALL);
        for (first, batch) in &run.blocks {
            let inside = |index: usize| (run.from_seq..run.to_seq).contains(&Seq(first.0 + index as u64));
            columns.append(id, *first, batch, inside)?;
        }
        drop(run.blocks);
        Ok::<_, ArchiveError>(runtime.block_on(lake.write(vec![columns.finish()], name))?)
    });
    let files = files.await??.into_iter().map(|file| file.0).collect();
    Ok(StagedFiles { from_seq: name.from_seq, to_seq: name.to_seq, files })
}
