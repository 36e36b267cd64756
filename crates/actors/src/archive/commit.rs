//! The committer: staged ranges of all shards into one snapshot, then the word of it into the logs.

use uuid::Uuid;
use watershed_lake::{CommitRequest, Lake, StagedFile, StagedRange, Watermark};
use watershed_schema::{Epoch, Seq};

use super::ArchiveError;
use crate::shard::{ShardHandle, StagedFiles};

/// After a start: tells the logs what snapshots hold that were committed before a crash could be told.
pub(super) async fn recover(shards: &[ShardHandle], lake: &Lake) -> Result<(), ArchiveError> {
    let watermark = lake.watermark().await?;
    for shard in shards {
        let at = below(&watermark, shard);
        if at > shard.positions().staged() {
            return Err(ArchiveError::LakeAhead(shard.id()));
        }
        if at > shard.positions().archived() {
            shard.archived(at, 0).await?;
        }
    }
    Ok(())
}

/// Commits every staged range; nothing to do is no snapshot.
pub(super) async fn commit(shards: &[ShardHandle], lake: &Lake, epoch: Epoch) -> Result<(), ArchiveError> {
    if shards.iter().all(|shard| shard.staged().is_empty()) {
        return Ok(());
    }
    let watermark = lake.watermark().await?;
    let ranges: Vec<StagedRange> = shards.iter().flat_map(|shard| ranges(shard, below(&watermark, shard))).collect();
    if !ranges.is_empty() {
        let request = CommitRequest { ranges, replayed: Vec::new(), epoch, commit_id: Uuid::now_v7() };
        let snapshot = lake.commit(&request).await?.snapshot_id.unwrap_or_default();
        fail::fail_point!("archive::before_archived");
        tracing::debug!(snapshot, ranges = request.ranges.len(), "committed");
    }
    tell(shards, lake).await
}

async fn tell(shards: &[ShardHandle], lake: &Lake) -> Result<(), ArchiveError> {
    let watermark = lake.watermark().await?;
    for shard in shards {
        let at = below(&watermark, shard);
        if at > shard.positions().archived() {
            shard.archived(at, 0).await?;
            fail::fail_point!("archive::after_archived");
        }
    }
    Ok(())
}

fn below(watermark: &Watermark, shard: &ShardHandle) -> Seq {
    watermark.get(&shard.id()).copied().unwrap_or(Seq::FIRST)
}

/// Staged ranges that the lake does not have.
fn ranges(shard: &ShardHandle, watermark: Seq) -> Vec<StagedRange> {
    let range = |staged: StagedFiles| StagedRange {
        shard: shard.id(),
        from_seq: staged.from_seq,
        to_seq: staged.to_seq,
        files: staged.files.into_iter().map(StagedFile).collect(),
    };
    shard.staged().into_iter().filter(|staged| staged.to_seq > watermark).map(range).collect()
}
