//! Staged files become snapshots, exactly once: in the tables of single tenants first, in the shared one last.
//!
//! Outcomes may be unknown: every attempt looks for the commit id first. Files are deleted that were joined into others, after
//! the commit: the watermark keeps everybody from committing them, too.

mod own;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use backon::Retryable;
use iceberg::table::Table;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use uuid::Uuid;
use watershed_schema::{Epoch, Seq, ShardId};

use crate::compact::{Joined, joined};
use crate::pinned_catalog::PinnedCatalog;
use crate::table::{COMMIT_ID, EPOCH, EventTable, WATERMARK, fence, watermark_of};
use crate::{Lake, LakeError, Staged, StagedFile, Watermark, staged, waits};

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
    pub files: Staged,
}

/// What to commit; the same `commit_id` is applied once.
#[derive(Clone, Debug)]
pub struct CommitRequest {
    /// Ranges; those of one shard in order, and for the same tables ([`steps`]).
    pub ranges: Vec<StagedRange>,
    /// Files of rows below the watermark that were refused before ([`Lake::replay`]).
    pub replayed: Staged,
    /// Epoch of the committer.
    pub epoch: Epoch,
    /// Name of this commit.
    pub commit_id: Uuid,
}

/// The shared table's snapshot that holds the rows; `None` when it has since expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its id.
    pub snapshot_id: Option<i64>,
}

/// Parts ranges into what may be committed together, in order: within one commit a shard's ranges are for the same tables.
///
/// A reader takes what is below a table's watermark out of the lake. Were a range for the shared table followed by one for an
/// own table in one commit, the own one would say of the first, too, that it is in the lake, before it is.
#[must_use]
pub fn steps(ranges: Vec<StagedRange>) -> Vec<Vec<StagedRange>> {
    let (mut steps, mut last) = (Vec::new(), BTreeMap::<ShardId, (usize, Vec<String>)>::new());
    for range in ranges {
        let tables: Vec<String> = range.files.own.keys().cloned().collect();
        let step = match last.get(&range.shard) {
            Some((step, before)) if *before == tables => *step,
            Some((step, _)) => step + 1,
            None => 0,
        };
        last.insert(range.shard, (step, tables));
        if steps.len() <= step {
            steps.resize_with(step + 1, Vec::new);
        }
        steps[step].push(range);
    }
    steps
}

impl Lake {
    /// Makes the ranges visible together with the new watermark.
    ///
    /// # Errors
    /// [`LakeError::Fenced`], [`LakeError::NotContiguous`] and [`LakeError::Mixed`] are final. [`LakeError::Iceberg`] means
    /// unknown: come again with the same `commit_id`.
    pub async fn commit(&self, request: &CommitRequest) -> Result<Committed, LakeError> {
        unmixed(&request.ranges)?;
        (|| self.attempt(request)).retry(waits::commit()).when(LakeError::is_retryable).await
    }

    async fn attempt(&self, request: &CommitRequest) -> Result<Committed, LakeError> {
        let mut shared = self.shared.load().await?;
        if let Some(done) = applied(&shared, request.commit_id) {
            return Ok(done);
        }
        if self.fence_all(&shared, request.epoch).await? {
            shared = self.shared.load().await?;
        }
        let watermark = examine(&shared, request)?;
        self.commit_own(&shared, request).await?;
        fail::fail_point!("lake::before_commit");
        let marks = marks(request, &watermark)?;
        let files = request.ranges.iter().flat_map(|range| &range.files.shared).chain(&request.replayed.shared);
        let done = self.shared.append(shared, files, marks).await?;
        fail::fail_point!("lake::after_commit");
        Ok(Committed { snapshot_id: done.metadata().current_snapshot_id() })
    }
}

impl EventTable {
    async fn append<'a>(
        &self,
        table: Table,
        files: impl Iterator<Item = &'a StagedFile>,
        marks: HashMap<String, String>,
    ) -> Result<Table, LakeError> {
        let (table, files) = staged::under_one_spec(table, files)?;
        let Joined { files, replaced } = joined(&table, files, &self.files).await;
        fail::fail_point!("lake::after_join");
        let transaction = Transaction::new(&table);
        let append = transaction.fast_append().with_check_duplicate(false).add_data_files(files);
        let transaction = append.set_snapshot_properties(marks.clone()).apply(transaction)?;
        let properties = transaction.update_table_properties();
        let properties = marks.into_iter().fold(properties, |action, (key, value)| action.set(key, value));
        let transaction = properties.apply(transaction)?;
        let catalog = PinnedCatalog { inner: Arc::clone(&self.catalog), table };
        let done = transaction.commit(&catalog).await?;
        remove(&done, replaced).await;
        Ok(done)
    }
}

/// What stays is an orphan.
async fn remove(table: &Table, paths: BTreeSet<String>) {
    for path in paths {
        if let Err(error) = table.file_io().delete(&path).await {
            tracing::warn!(path, %error, "a file that was joined into another stays, as an orphan");
        }
    }
}

pub(crate) fn applied(table: &Table, id: Uuid) -> Option<Committed> {
    let (id, metadata) = (id.to_string(), table.metadata());
    let ours = |properties: &HashMap<String, String>| properties.get(COMMIT_ID) == Some(&id);
    let snapshot = metadata.snapshots().find(|snapshot| ours(&snapshot.summary().additional_properties));
    let snapshot_id = snapshot.map(|snapshot| snapshot.snapshot_id());
    (snapshot_id.is_some() || ours(metadata.properties())).then_some(Committed { snapshot_id })
}

fn unmixed(ranges: &[StagedRange]) -> Result<(), LakeError> {
    let mut first: BTreeMap<ShardId, &Staged> = BTreeMap::new();
    for range in ranges {
        let before = *first.entry(range.shard).or_insert(&range.files);
        if !before.own.keys().eq(range.files.own.keys()) {
            return Err(LakeError::Mixed { shard: range.shard });
        }
    }
    Ok(())
}

fn examine(table: &Table, request: &CommitRequest) -> Result<Watermark, LakeError> {
    fence(table, request.epoch)?;
    let mut next = watermark_of(table)?;
    for range in &request.ranges {
        let at = next.entry(range.shard).or_insert(Seq::FIRST);
        continues(range, *at)?;
        *at = range.to_seq;
    }
    Ok(next)
}

/// Whether archiving goes by watermarks; `chaos` takes that away on purpose, to see its checker find it.
fn goes_by_watermark() -> bool {
    fail::fail_point!("lake::skip_watermark", |_| false);
    true
}

/// Whether a range begins where its shard's archive ends.
fn continues(range: &StagedRange, watermark: Seq) -> Result<(), LakeError> {
    let is_next = range.from_seq == watermark && range.to_seq >= range.from_seq;
    if is_next || !goes_by_watermark() {
        return Ok(());
    }
    Err(LakeError::NotContiguous { shard: range.shard, from: range.from_seq, watermark })
}

fn marks(request: &CommitRequest, next: &Watermark) -> Result<HashMap<String, String>, LakeError> {
    Ok(HashMap::from([
        (WATERMARK.to_owned(), serde_json::to_string(next)?),
        (EPOCH.to_owned(), request.epoch.to_string()),
        (COMMIT_ID.to_owned(), request.commit_id.to_string()),
    ]))
}
