//! What a shard's hot tier has no longer, in the order of its numbers: out of the lake, page by page.
//!
//! Files are sorted by other keys. What has the lowest numbers of all that is left is kept, as much as fits compressed into a
//! stream's room, and told from there in pages; then the files that have more are read again.

mod files;
mod gather;
mod kept;
mod page;
mod room;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::Instant;
use watershed_lake::{FileOfView, Lake, ShardRows, View};
use watershed_schema::{Column, Seq};

use crate::{Engine, QueryError};
use files::Reader;
use gather::Gather;
use kept::Kept;
use page::Page;

pub use page::HistoryStep;
pub(crate) use room::Rooms;

/// How long a snapshot is held: what is deleted or merged meanwhile is seen afterwards.
const HELD_MAX: Duration = Duration::from_secs(30);

/// Events of one tenant in one shard, in order.
#[derive(Debug)]
pub struct History {
    lake: Arc<Lake>,
    rooms: Rooms,
    /// What is left.
    wanted: ShardRows,
    /// For each of these columns, one of the values.
    any_of: Vec<(Column, Vec<String>)>,
    held: Option<Arc<Held>>,
    kept: Option<Kept>,
    page: Option<Page>,
}

/// Snapshots and their files for what is wanted.
#[derive(Debug)]
struct Held {
    since: Instant,
    pinned: View,
    files: Vec<FileOfView>,
}

impl Engine {
    /// Whether there is a lake to read from.
    #[must_use]
    pub fn has_lake(&self) -> bool {
        self.lake.is_some()
    }

    /// Events `[wanted.from, wanted.to)` out of the lake, as far as it has them ([`History::end`]); `None` without a lake.
    /// Where `any_of` names columns, events without one of the values may be left out.
    ///
    /// # Errors
    /// [`QueryError::Lake`].
    pub async fn history(&self, wanted: ShardRows, any_of: Vec<(Column, Vec<String>)>) -> Result<Option<History>, QueryError> {
        let Some(lake) = self.lake.clone() else { return Ok(None) };
        let mut history = History { lake, rooms: self.rooms.clone(), wanted, any_of, held: None, kept: None, page: None };
        let held = history.held().await?;
        history.wanted.to = within(&held.pinned, &history.wanted);
        Ok(Some(history))
    }

    /// The lowest number of these events in the lake; `None` when it has none of them.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn first_in_lake(&self, mut wanted: ShardRows) -> Result<Option<Seq>, QueryError> {
        let Some(lake) = self.lake.clone() else { return Ok(None) };
        let pinned = lake.view(&wanted.tenant).await?;
        wanted.to = within(&pinned, &wanted);
        let mut lowest = None;
        for file in pinned.files_of_shard(&wanted).await? {
            if file.of_shard.from >= wanted.to {
                break;
            }
            let reader = Reader { pinned: &pinned.tables[file.table], any_of: &[] };
            let mut rows = reader.numbers(&file.of_shard, &wanted)?;
            while let Some(batch) = rows.next().await {
                if let Some(seq) = files::lowest(&batch.map_err(|error| QueryError::of(error, 0))?, &wanted)? {
                    (lowest, wanted.to) = (Some(seq), seq);
                }
            }
        }
        Ok(lowest)
    }
}

/// How far the snapshots go.
fn within(pinned: &View, wanted: &ShardRows) -> Seq {
    let watermark = pinned.watermark.get(&wanted.shard).copied().unwrap_or(Seq::FIRST);
    wanted.to.min(watermark).max(wanted.from)
}

impl History {
    /// Behind the last event that it will tell of: the lake has no more yet.
    #[must_use]
    pub fn end(&self) -> Seq {
        self.wanted.to
    }

    /// The next events; `None` at the end. Dropped, it has taken nothing that is not read again.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn next(&mut self) -> Result<Option<HistoryStep>, QueryError> {
        if self.page.is_none() {
            if self.wanted.from >= self.wanted.to {
                return Ok(None);
            }
            self.page = Some(self.next_page().await?);
        }
        let page = self.page.as_mut().expect("invariant: it was just read");
        let step = page.step(&self.wanted.tenant, self.wanted.from)?;
        if page.is_over() {
            self.page = None;
        }
        self.wanted.from = step.to;
        if self.kept.as_ref().is_some_and(|kept| kept.to() <= step.to) {
            self.kept = None;
        }
        Ok(Some(step))
    }

    async fn next_page(&mut self) -> Result<Page, QueryError> {
        let from = self.wanted.from;
        if let Some(kept) = self.kept.as_mut().filter(|kept| from < kept.to()) {
            return kept.page(from);
        }
        // Its room is free for what is read.
        self.kept = None;
        let kept = self.read().await?;
        self.kept.insert(kept).page(from)
    }

    /// Files of a snapshot that was held may be gone: a newer one has their rows.
    async fn read(&mut self) -> Result<Kept, QueryError> {
        let was_held = self.held.is_some();
        match self.gathered().await {
            Err(error) if was_held => {
                tracing::debug!(%error, "reads on from a newer snapshot");
                self.held = None;
                self.gathered().await
            }
            done => done,
        }
    }

    async fn gathered(&mut self) -> Result<Kept, QueryError> {
        let held = self.held().await?;
        let room = self.rooms.take();
        let _turn = self.rooms.turn().await;
        let mut found = Gather::new(&self.wanted, room.kept_bytes());
        for FileOfView { table, of_shard } in held.files.iter().filter(|file| file.of_shard.to > self.wanted.from) {
            if found.ends_before(of_shard.from)? {
                break;
            }
            let reader = Reader { pinned: &held.pinned.tables[*table], any_of: &self.any_of };
            let mut rows = reader.events(of_shard, found.wanted())?;
            while let Some(batch) = rows.next().await {
                found.add(&batch.map_err(|error| QueryError::of(error, 0))?)?;
            }
        }
        Ok(found.kept(room))
    }

    async fn held(&mut self) -> Result<Arc<Held>, QueryError> {
        if let Some(held) = self.held.as_ref().filter(|held| held.since.elapsed() < HELD_MAX) {
            return Ok(Arc::clone(held));
        }
        let pinned = self.lake.view(&self.wanted.tenant).await?;
        let files = pinned.files_of_shard(&self.wanted).await?;
        let held = Arc::new(Held { since: Instant::now(), pinned, files });
        self.held = Some(Arc::clone(&held));
        Ok(held)
    }
}
