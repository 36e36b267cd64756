//! The committer: staged ranges of all shards into one snapshot, then the word of it into the logs.

use uuid::Uuid;
use watershed_lake::{CommitRequest, Committed, Lake, Staged, StagedRange, Watermark, steps};
use watershed_schema::{Epoch, Seq, ShardId};

use super::ArchiveError;
use crate::background;
use crate::shard::{ShardHandle, StagedFiles};

/// After a start: tells the logs what snapshots hold that were committed before a crash could be told.
pub(super) async fn recover(shards: &[ShardHandle], lake: &Lake) -> Result<(), ArchiveError> {
    let watermark = known(lake).await?;
    for shard in shards {
        let (at, now) = (below(&watermark, shard.id()), shard.read_index().await?);
        if at > now.staged() {
            return Err(ArchiveError::LakeAhead(shard.id()));
        }
        if at > now.archived() {
            shard.archived(at, 0).await?;
        }
    }
    Ok(())
}

/// Commits every staged range; nothing to do is no snapshot. It is one commit, unless a setting has changed in between.
pub(super) async fn commit(shards: &[ShardHandle], lake: &Lake, epoch: Epoch) -> Result<(), ArchiveError> {
    let mut staged = Vec::new();
    for shard in shards {
        let (_, files) = shard.staged().await?;
        staged.extend(files.into_iter().map(|files| (shard.id(), files)));
    }
    if staged.is_empty() {
        return Ok(());
    }
    let watermark = known(lake).await?;
    let is_new = |(shard, files): &(ShardId, StagedFiles)| files.to_seq > below(&watermark, *shard);
    let ranges: Vec<StagedRange> = staged.into_iter().filter(is_new).map(range).collect();
    for ranges in steps(ranges) {
        let request = CommitRequest { ranges, replayed: Staged::default(), epoch, commit_id: Uuid::now_v7() };
        let ranges = request.ranges.len();
        let snapshot = committed(lake, request).await?.snapshot_id.unwrap_or_default();
        fail::fail_point!("archive::before_archived");
        tracing::debug!(snapshot, ranges, "committed");
    }
    tell(shards, lake).await
}

/// Small files are joined on the way, which is work for a thread of its own.
async fn committed(lake: &Lake, request: CommitRequest) -> Result<Committed, ArchiveError> {
    let (lake, runtime) = (lake.clone(), tokio::runtime::Handle::current());
    let done = background::run("commit", move || runtime.block_on(Box::pin(lake.commit(&request)))).await;
    Ok(done.map_err(ArchiveError::Thread)??)
}

async fn tell(shards: &[ShardHandle], lake: &Lake) -> Result<(), ArchiveError> {
    let watermark = lake.watermark().await?;
    for shard in shards {
        let at = below(&watermark, shard.id());
        if at > shard.read_index().await?.archived() {
            shard.archived(at, 0).await?;
            fail::fail_point!("archive::after_archived");
        }
    }
    Ok(())
}

/// What the lake has, by its own word: what a crash left behind is decided by it.
async fn known(lake: &Lake) -> Result<Watermark, ArchiveError> {
    fail::fail_point!("lake::skip_watermark", |_| Ok(Watermark::new()));
    Ok(lake.watermark().await?)
}

fn below(watermark: &Watermark, shard: ShardId) -> Seq {
    watermark.get(&shard).copied().unwrap_or(Seq::FIRST)
}

fn range((shard, staged): (ShardId, StagedFiles)) -> StagedRange {
    let StagedFiles { from_seq, to_seq, files, letter: _ } = staged;
    StagedRange { shard, from_seq, to_seq, files: files.as_ref().clone() }
}
