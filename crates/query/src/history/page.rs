//! Events that came together, told in order.

use std::sync::Arc;

use watershed_schema::{EventBatch, Seq, TenantId};

use crate::QueryError;

/// Bytes of events that are told at once, like a page of the hot tier.
const STEP_BYTES: usize = 1 << 20;

/// Events `[from, to)` of a shard that the lake has.
#[derive(Clone, Debug)]
pub struct HistoryStep {
    /// First position covered.
    pub from: Seq,
    /// Position behind the last.
    pub to: Seq,
    /// Batches with the number of their first event; what is missing is not the tenant's, not wanted, or deleted.
    pub blocks: Vec<(Seq, Arc<EventBatch>)>,
}

/// Some events with their numbers.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) events: EventBatch,
    pub(super) seqs: Vec<Seq>,
}

/// Where an event stands among the slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    seq: Seq,
    slice: usize,
    row: usize,
}

#[derive(Debug)]
pub(super) struct Page {
    slices: Vec<Slice>,
    /// In order.
    places: Vec<Place>,
    at: usize,
    to: Seq,
    is_over: bool,
}

impl Page {
    /// Events that are all there is below `to`.
    pub(super) fn new(slices: Vec<Slice>, to: Seq) -> Self {
        let places = |(slice, Slice { seqs, .. }): (usize, &Slice)| {
            seqs.iter().enumerate().map(|(row, seq)| Place { seq: *seq, slice, row }).collect::<Vec<_>>()
        };
        let mut places: Vec<_> = slices.iter().enumerate().flat_map(places).collect();
        places.sort_unstable();
        Self { slices, places, at: 0, to, is_over: false }
    }

    /// Whether everything was told.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// About a step's bytes of events, at least one; the last step covers the rest.
    pub(super) fn step(&mut self, tenant: &TenantId, from: Seq) -> Result<HistoryStep, QueryError> {
        let (mut blocks, mut bytes) = (Vec::new(), 0);
        while self.at < self.places.len() && bytes < STEP_BYTES {
            let begin = self.at;
            while self.follows(begin) && bytes < STEP_BYTES {
                bytes += self.row_bytes(self.places[self.at]);
                self.at += 1;
            }
            blocks.push((self.places[begin].seq, Arc::new(self.joined(tenant, &self.places[begin..self.at])?)));
        }
        self.is_over = self.at == self.places.len();
        let to = self.places.get(self.at).map_or(self.to, |place| place.seq);
        Ok(HistoryStep { from, to, blocks })
    }

    /// Whether the next event's number follows on those since `begin`.
    fn follows(&self, begin: usize) -> bool {
        let expected = self.places[begin].seq.0 + (self.at - begin) as u64;
        self.places.get(self.at).is_some_and(|place| place.seq.0 == expected)
    }

    fn row_bytes(&self, place: Place) -> usize {
        self.slices[place.slice].events.row(place.row).bytes()
    }

    fn joined(&self, tenant: &TenantId, places: &[Place]) -> Result<EventBatch, QueryError> {
        let parts: Vec<_> =
            places.iter().map(|place| (&self.slices[place.slice].events, std::slice::from_ref(&place.row))).collect();
        let decoded = EventBatch::decode(tenant.clone(), EventBatch::join(&parts));
        decoded.map_err(|error| QueryError::Internal(format!("row in the lake: {error}")))
    }
}
