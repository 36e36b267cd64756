//! How far a query is: what it has read of what it means to read. Only counts; nobody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use watershed_schema::proto;

/// Counts of one query. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    hot_events: Part,
    lake_events: Part,
    lake_files: Part,
}

#[derive(Debug, Default)]
struct Part {
    planned: AtomicU64,
    read: AtomicU64,
}

impl Progress {
    /// What was read so far. Positions of the hot tier count, also those of other tenants, and what is left out unread.
    #[must_use]
    pub fn so_far(&self) -> proto::Progress {
        let Counts { hot_events, lake_events, lake_files } = &*self.0;
        let [planned, read] =
            [|part: &Part| part.planned.load(Ordering::Relaxed), |part: &Part| part.read.load(Ordering::Relaxed)];
        proto::Progress {
            hot_events_planned: planned(hot_events),
            hot_events: read(hot_events),
            lake_events_planned: planned(lake_events),
            lake_events: read(lake_events),
            lake_files_planned: planned(lake_files),
            lake_files: read(lake_files),
            elapsed_ms: 0,
        }
    }

    /// The query begins, or begins anew.
    pub(crate) fn begin(&self) {
        let Counts { hot_events, lake_events, lake_files } = &*self.0;
        for part in [hot_events, lake_events, lake_files] {
            part.planned.store(0, Ordering::Relaxed);
            part.read.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn plan_hot(&self, events: u64) {
        self.0.hot_events.planned.fetch_add(events, Ordering::Relaxed);
    }

    pub(crate) fn read_hot(&self, events: u64) {
        self.0.hot_events.read.fetch_add(events, Ordering::Relaxed);
    }

    /// A file of the lake will be read.
    pub(crate) fn plan_file(&self, events: u64) {
        self.0.lake_files.planned.fetch_add(1, Ordering::Relaxed);
        self.0.lake_events.planned.fetch_add(events, Ordering::Relaxed);
    }

    /// A part of a file was read, `is_last` of them that with its end.
    pub(crate) fn read_part(&self, events: u64, is_last: bool) {
        self.0.lake_files.read.fetch_add(u64::from(is_last), Ordering::Relaxed);
        self.0.lake_events.read.fetch_add(events, Ordering::Relaxed);
    }
}
