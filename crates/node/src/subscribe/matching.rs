//! Which events of a step a subscription wants.

use std::sync::Arc;

use watershed_actors::Filter;
use watershed_query::Condition;
use watershed_schema::wire::Malformed;
use watershed_schema::{EventBatch, Row, Seq, ShardId};

use crate::refusal::Refusal;

/// Events of one batch.
pub(crate) struct Found {
    /// Number of the batch's first event.
    pub(super) first: Seq,
    pub(super) batch: Arc<EventBatch>,
    /// Which rows, in order; there is at least one.
    pub(super) wanted: Vec<usize>,
}

impl Found {
    /// The events with their places.
    pub(super) fn rows(&self, shard: ShardId) -> impl Iterator<Item = (ShardId, Seq, Row<'_>)> {
        self.wanted.iter().map(move |index| (shard, Seq(self.first.0 + *index as u64), self.batch.row(*index)))
    }
}

/// What a subscription wants.
pub(super) struct Wanted {
    pub(super) filter: Arc<Filter>,
    pub(super) condition: Option<Condition>,
}

impl Wanted {
    /// Events of `[from, to)` that match.
    pub(super) fn found(
        &self,
        shard: ShardId,
        (from, to): (Seq, Seq),
        blocks: Vec<(Seq, Arc<EventBatch>)>,
    ) -> Result<Vec<Found>, Refusal> {
        let mut all = Vec::new();
        for (first, batch) in blocks {
            let wanted = self.filtered(from.0.saturating_sub(first.0), to.0.saturating_sub(first.0), &batch)?;
            let mut found = Found { first, batch, wanted };
            self.meet(shard, &mut found)?;
            if !found.wanted.is_empty() {
                all.push(found);
            }
        }
        Ok(all)
    }

    fn filtered(&self, from: u64, to: u64, batch: &EventBatch) -> Result<Vec<usize>, Refusal> {
        let damaged = |error: Malformed| Refusal::Internal(format!("row in the log: {error}"));
        let inside = |index: &usize| (from..to).contains(&(*index as u64));
        let mut wanted = Vec::new();
        for index in (0..batch.len()).filter(inside) {
            if self.filter.is_everything() || self.filter.wants(batch.texts(index).map_err(damaged)?) {
                wanted.push(index);
            }
        }
        Ok(wanted)
    }

    /// Keeps what meets the condition.
    fn meet(&self, shard: ShardId, found: &mut Found) -> Result<(), Refusal> {
        let Some(condition) = self.condition.as_ref().filter(|_| !found.wanted.is_empty()) else { return Ok(()) };
        let truth = condition.matches(found.rows(shard));
        let mut truth = truth.map_err(|error| Refusal::Invalid(format!("filter.where_sql: {error}")))?.into_iter();
        found.wanted.retain(|_| truth.next() == Some(true));
        Ok(())
    }
}
