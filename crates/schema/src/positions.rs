//! The one axis of a shard, and the order that holds on it.
//!
//! `trimmed ≤ archived ≤ staged ≤ tail`; every position is exclusive ("all below it").

use crate::Seq;

/// Where a shard stands. The setters assert the order, in release builds too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions {
    trimmed: Seq,
    archived: Seq,
    staged: Seq,
    tail: Seq,
}

impl Default for Positions {
    fn default() -> Self {
        Self { trimmed: Seq::FIRST, archived: Seq::FIRST, staged: Seq::FIRST, tail: Seq::FIRST }
    }
}

impl Positions {
    /// First event still in the hot tier.
    #[must_use]
    pub fn trimmed(&self) -> Seq {
        self.trimmed
    }

    /// Everything below is inside an Iceberg snapshot.
    #[must_use]
    pub fn archived(&self) -> Seq {
        self.archived
    }

    /// Everything below is in data files that the shard's log knows.
    #[must_use]
    pub fn staged(&self) -> Seq {
        self.staged
    }

    /// The next event's number: everything below is committed and durable.
    #[must_use]
    pub fn tail(&self) -> Seq {
        self.tail
    }

    /// More events were committed.
    pub fn set_tail(&mut self, tail: Seq) {
        assert!(tail >= self.tail, "invariant: the tail only grows");
        self.tail = tail;
    }

    /// A range was written to data files.
    pub fn set_staged(&mut self, staged: Seq) {
        assert!(self.staged <= staged && staged <= self.tail, "invariant: staged lies between itself and the tail");
        self.staged = staged;
    }

    /// A snapshot holds everything below.
    pub fn set_archived(&mut self, archived: Seq) {
        assert!(self.archived <= archived && archived <= self.staged, "invariant: archived lies between itself and staged");
        self.archived = archived;
    }

    /// The hot tier let go of everything below.
    pub fn set_trimmed(&mut self, trimmed: Seq) {
        assert!(self.trimmed <= trimmed && trimmed <= self.archived, "invariant: only archived events are trimmed");
        self.trimmed = trimmed;
    }
}
