//! Events that were read of files and are not told yet, compressed: pages are cut from them, so that a file is read once for
//! all that fits, and not once for each page.

use watershed_schema::proto::SealedBatch;
use watershed_schema::{EventBatch, Seq};

use super::page::{Page, Slice};
use super::room::Room;
use crate::QueryError;

/// What is kept of an event besides its bytes.
const PLACE_BYTES: usize = size_of::<Seq>();

/// Events with their numbers, in any order, all of which there are below an end.
#[derive(Debug)]
pub(super) struct Kept {
    slices: Vec<Sealed>,
    to: Seq,
    room: Room,
}

/// Some events.
#[derive(Debug)]
pub(super) struct Sealed {
    batch: SealedBatch,
    seqs: Vec<Seq>,
}

impl Sealed {
    pub(super) fn new(events: &EventBatch, seqs: Vec<Seq>) -> Self {
        Self { batch: events.seal(), seqs }
    }

    pub(super) fn seqs(&self) -> &[Seq] {
        &self.seqs
    }

    /// In memory.
    pub(super) fn bytes(&self) -> usize {
        let filter = self.batch.header.as_ref().map_or(0, |header| header.filter.len());
        self.batch.body.len() + filter + self.seqs.len() * PLACE_BYTES
    }

    /// Opened.
    fn opened_bytes(&self) -> u64 {
        self.batch.header.as_ref().map_or(0, |header| u64::from(header.body_bytes))
    }

    /// Those of its events whose numbers are wanted.
    pub(super) fn opened(&self, wanted: impl Fn(Seq) -> bool) -> Result<Option<Slice>, QueryError> {
        let rows: Vec<_> = (0..self.seqs.len()).filter(|row| wanted(self.seqs[*row])).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let events = EventBatch::open(&self.batch).map_err(|error| QueryError::Internal(format!("kept events: {error}")))?;
        let seqs = rows.iter().map(|row| self.seqs[*row]).collect();
        let events = if rows.len() == events.len() { Some(events) } else { events.select(&rows) };
        Ok(events.map(|events| Slice { events, seqs }))
    }
}

impl Kept {
    pub(super) fn new(slices: Vec<Sealed>, to: Seq, room: Room) -> Self {
        Self { slices, to, room }
    }

    /// Behind the last number that is known of.
    pub(super) fn to(&self) -> Seq {
        self.to
    }

    /// What has the lowest numbers from `from` on, about as much as a page holds and at least one event.
    pub(super) fn page(&mut self, from: Seq) -> Result<Page, QueryError> {
        self.slices.retain(|slice| slice.seqs.iter().any(|seq| *seq >= from));
        let end = self.end(from);
        let inside = |seq: Seq| (from..end).contains(&seq);
        let opened = self.slices.iter().map(|slice| slice.opened(inside)).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::new(opened.into_iter().flatten().collect(), end))
    }

    /// Events are taken to be of one length.
    fn end(&self, from: Seq) -> Seq {
        let mut seqs: Vec<_> = self.slices.iter().flat_map(|slice| &slice.seqs).copied().filter(|seq| *seq >= from).collect();
        let (events, bytes) = self
            .slices
            .iter()
            .fold((0, 0), |(events, bytes), slice| (events + slice.seqs.len() as u64, bytes + slice.opened_bytes()));
        let fit = self.room.page_bytes() as u64 * events / bytes.max(1);
        let fit = usize::try_from(fit.max(1)).unwrap_or(usize::MAX);
        if fit >= seqs.len() {
            return self.to;
        }
        *seqs.select_nth_unstable(fit).1
    }
}
