//! What a stream wants and the hot tier has no longer: read from the lake, one shard at a time.
//!
//! Meanwhile the other shards wait in the log. What is trimmed there in the meantime is read from the lake, too.

use watershed_actors::{Filter, Step};
use watershed_lake::ShardRows;
use watershed_query::{Engine, History};
use watershed_schema::{Column, Seq, ShardId, TenantId};

use crate::refusal::Refusal;

/// Reads what lies before the hot tier.
pub(super) struct PastTheHotTier {
    engine: Engine,
    tenant: TenantId,
    any_of: Vec<(Column, Vec<String>)>,
    /// In a box, as its futures are: most streams never read here.
    reading: Option<Box<Reading>>,
}

/// A shard that is read up to `to`, where its hot tier goes on.
struct Reading {
    shard: ShardId,
    from: Seq,
    to: Seq,
    history: Option<History>,
}

impl PastTheHotTier {
    pub(super) fn new(engine: Engine, tenant: &TenantId, filter: &Filter) -> Self {
        let any_of = filter.lists().map(|(column, values)| (column, values.iter().cloned().collect())).collect();
        Self { engine, tenant: tenant.clone(), any_of, reading: None }
    }

    /// Reads `[from, to)` of a shard next.
    pub(super) async fn begin(&mut self, shard: ShardId, from: Seq, to: Seq) -> Result<(), Refusal> {
        let rows = ShardRows { tenant: self.tenant.clone(), shard, from, to, from_us: None };
        let history = Box::pin(self.engine.history(rows, self.any_of.clone())).await?;
        self.reading = Some(Box::new(Reading { shard, from, to, history }));
        Ok(())
    }

    /// Whether a shard is being read.
    pub(super) fn is_reading(&self, shard: ShardId) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.shard == shard)
    }

    /// The next step of what is read; `None` when the hot tier goes on. What the lake does not have, either, is a gap.
    pub(super) async fn next(&mut self) -> Result<Option<Step>, Refusal> {
        let Some(reading) = &mut self.reading else { return Ok(None) };
        let Reading { shard, from, to, history } = &mut **reading;
        let shard = *shard;
        if let Some(step) = match history {
            Some(history) => Box::pin(history.next()).await?,
            None => None,
        } {
            *from = step.to;
            return Ok(Some(Step::Events { shard, from: step.from, to: step.to, blocks: step.blocks }));
        }
        let (from, to) = (*from, *to);
        self.reading = None;
        if from < to {
            tracing::warn!(%shard, %from, %to, "events are in neither tier");
            return Ok(Some(Step::Gap { shard, from, to }));
        }
        Ok(None)
    }
}
