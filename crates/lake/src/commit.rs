//! Staged files become a snapshot, exactly once.
//!
//! Outcomes may be unknown: every attempt looks for the commit id first. No file is ever deleted here.

use std::collections::HashMap;
use std::sync::Arc;

use backon::Retryable;
use iceberg::table::Table;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use uuid::Uuid;
use watershed_schema::{Epoch, Seq, ShardId};

use crate::pinned_catalog::PinnedCatalog;
use crate::table::{COMMIT_ID, EPOCH, WATERMARK, epoch_of, watermark_of};
use crate::{Lake, LakeError, StagedFile, Watermark, staged, waits};

/// The files of `[from_seq, to_seq)` of a shard.
#[derive(Clone, Debug)]
pub struct StagedRange {
    /// The shard.
    pub shard: ShardId,
    /// First sequence number.
    pub from_seq: Seq,
    /// First sequence number after it.
    pub to_seq: Seq,
    /// All files of the range.
    pub files: Vec<StagedFile>,
}

/// What to commit; the same `commit_id` is applied once.
#[derive(Clone, Debug)]
pub struct CommitRequest {
    /// Ranges; those of one shard in order.
    pub ranges: Vec<StagedRange>,
    /// Files of rows below the watermark that were refused before ([`Lake::replay`]).
    pub replayed: Vec<StagedFile>,
    /// Epoch of the committer.
    pub epoch: Epoch,
    /// Name of this commit.
    pub commit_id: Uuid,
}

/// The snapshot that holds the rows; `None` when it has since expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its id.
    pub snapshot_id: Option<i64>,
}

impl Lake {
    /// Makes the ranges visible together with the new watermark.
    ///
    /// # Errors
    /// [`LakeError::Fenced`] and [`LakeError::NotContiguous`] are final. [`LakeError::Iceberg`] means unknown:
    /// come again with the same `commit_id`.
    pub async fn commit(&self, request: &CommitRequest) -> Result<Committed, LakeError> {
        (|| self.attempt(request)).retry(waits::commit()).when(LakeError::is_retryable).await
    }

    async fn attempt(&self, request: &CommitRequest) -> Result<Committed, LakeError> {
        let table = self.load().await?;
        if let Some(done) = applied(&table, request.commit_id) {
            return Ok(done);
        }
        let watermark = examine(&table, request)?;
        fail::fail_point!("lake::before_commit");
        let done = self.append(table, request, &watermark).await?;
        fail::fail_point!("lake::after_commit");
        Ok(Committed { snapshot_id: done.metadata().current_snapshot_id() })
    }

    async fn append(&self, table: Table, request: &CommitRequest, next: &Watermark) -> Result<Table, LakeError> {
        let marks = marks(request, next)?;
        let staged = request.ranges.iter().flat_map(|range| &range.files).chain(&request.replayed);
        let (table, files) = staged::under_one_spec(table, staged)?;
        let transaction = Transaction::new(&table);
        let append = transaction.fast_append().with_check_duplicate(false).add_data_files(files);
        let transaction = append.set_snapshot_properties(marks.clone()).apply(transaction)?;
        let properties = transaction.update_table_properties();
        let properties = marks.into_iter().fold(properties, |action, (key, value)| action.set(key, value));
        let transaction = properties.apply(transaction)?;
        let catalog = PinnedCatalog { inner: Arc::clone(&self.catalog), table };
        Ok(transaction.commit(&catalog).await?)
    }
}

pub(crate) fn applied(table: &Table, id: Uuid) -> Option<Committed> {
    let (id, metadata) = (id.to_string(), table.metadata());
    let ours = |properties: &HashMap<String, String>| properties.get(COMMIT_ID) == Some(&id);
    let snapshot = metadata.snapshots().find(|snapshot| ours(&snapshot.summary().additional_properties));
    let snapshot_id = snapshot.map(|snapshot| snapshot.snapshot_id());
    (snapshot_id.is_some() || ours(metadata.properties())).then_some(Committed { snapshot_id })
}

fn examine(table: &Table, request: &CommitRequest) -> Result<Watermark, LakeError> {
    let (ours, stored) = (request.epoch, epoch_of(table)?);
    if ours < stored {
        return Err(LakeError::Fenced { ours, stored });
    }
    let mut next = watermark_of(table)?;
    for range in &request.ranges {
        let at = next.entry(range.shard).or_insert(Seq::FIRST);
        if !continues(range, *at) {
            return Err(LakeError::NotContiguous { shard: range.shard, from: range.from_seq, watermark: *at });
        }
        *at = range.to_seq;
    }
    Ok(next)
}

/// Whether a range begins where its shard's archive ends.
fn continues(range: &StagedRange, watermark: Seq) -> bool {
    fail::fail_point!("lake::skip_watermark", |_| true);
    range.from_seq == watermark && range.to_seq >= range.from_seq
}

fn marks(request: &CommitRequest, next: &Watermark) -> Result<HashMap<String, String>, LakeError> {
    Ok(HashMap::from([
        (WATERMARK.to_owned(), serde_json::to_string(next)?),
        (EPOCH.to_owned(), request.epoch.to_string()),
        (COMMIT_ID.to_owned(), request.commit_id.to_string()),
    ]))
}
