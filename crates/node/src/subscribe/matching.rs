//! Which events of a step a subscription wants.

use std::sync::Arc;

use watershed_actors::Filter;
use watershed_schema::wire::Malformed;
use watershed_schema::{EventBatch, Seq};

use crate::refusal::Refusal;

/// Events of one batch.
pub(crate) struct Found {
    /// Number of the batch's first event.
    pub(super) first: Seq,
    pub(super) batch: Arc<EventBatch>,
    /// Which rows, in order; there is at least one.
    pub(super) wanted: Vec<usize>,
}

/// Events of `[from, to)` that match.
pub(super) fn matching(
    filter: &Filter,
    (from, to): (Seq, Seq),
    blocks: Vec<(Seq, Arc<EventBatch>)>,
) -> Result<Vec<Found>, Refusal> {
    let mut found = Vec::new();
    for (first, batch) in blocks {
        let wanted = wanted(filter, from.0.saturating_sub(first.0), to.0.saturating_sub(first.0), &batch)?;
        if !wanted.is_empty() {
            found.push(Found { first, batch, wanted });
        }
    }
    Ok(found)
}

fn wanted(filter: &Filter, from: u64, to: u64, batch: &EventBatch) -> Result<Vec<usize>, Refusal> {
    let damaged = |error: Malformed| Refusal::Internal(format!("row in the log: {error}"));
    let inside = |index: &usize| (from..to).contains(&(*index as u64));
    let mut values = Vec::new();
    let mut wanted = Vec::new();
    for index in (0..batch.len()).filter(inside) {
        if filter.is_everything() || filter.matches(&batch.row(index), &mut values).map_err(damaged)? {
            wanted.push(index);
        }
    }
    Ok(wanted)
}
