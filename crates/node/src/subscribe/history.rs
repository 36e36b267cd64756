//! What a stream wants and the hot tier has no longer: read from the lake, one shard at a time.
//!
//! Meanwhile the other shards wait in the log. What is trimmed there in the meantime is read from the lake, too. Events that
//! the lake refused are in dead letters: a stream is told that it does not get them.

use std::collections::VecDeque;

use watershed_actors::{Filter, Node, Step};
use watershed_lake::ShardRows;
use watershed_query::{Engine, History, HistoryStep};
use watershed_schema::proto::GapReason;
use watershed_schema::{Column, Seq, ShardId, TenantId};

use super::Streams;
use crate::refusal::Refusal;

/// Reads what lies before the hot tier.
pub(super) struct PastTheHotTier {
    engine: Engine,
    node: Node,
    tenant: TenantId,
    any_of: Vec<(Column, Vec<String>)>,
    /// In a box, as its futures are: most streams never read here.
    reading: Option<Box<Reading>>,
}

/// A shard that is read up to `to`, where its hot tier goes on.
struct Reading {
    shard: ShardId,
    /// Behind what was told.
    from: Seq,
    to: Seq,
    history: Option<History>,
    read: Option<HistoryStep>,
    /// What is in dead letters of it.
    lettered: VecDeque<(Seq, Seq)>,
}

impl PastTheHotTier {
    pub(super) fn new(streams: &Streams, tenant: &TenantId, filter: &Filter) -> Self {
        let any_of = filter.lists().map(|(column, values)| (column, values.iter().cloned().collect())).collect();
        let (engine, node) = (streams.engine.clone(), streams.node.clone());
        Self { engine, node, tenant: tenant.clone(), any_of, reading: None }
    }

    /// Reads `[from, to)` of a shard next. Letters first: one that is replayed in between is told as a gap, and not passed over.
    pub(super) async fn begin(&mut self, shard: ShardId, from: Seq, to: Seq) -> Result<(), Refusal> {
        let unreadable = |error: String| Refusal::Unavailable(format!("dead letters of shard {shard}: {error}"));
        let lettered = Box::pin(self.node.lettered(&self.tenant, shard, (from, to))).await.map_err(unreadable)?.into();
        let rows = ShardRows { tenant: self.tenant.clone(), shard, from, to, from_us: None };
        let history = Box::pin(self.engine.history(rows, self.any_of.clone())).await?;
        self.reading = Some(Box::new(Reading { shard, from, to, history, read: None, lettered }));
        Ok(())
    }

    /// Whether a shard is being read.
    pub(super) fn is_reading(&self, shard: ShardId) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.shard == shard)
    }

    /// The next step of what is read; `None` when the hot tier goes on. What the lake does not have, either, is a gap.
    pub(super) async fn next(&mut self) -> Result<Option<Step>, Refusal> {
        let Some(reading) = &mut self.reading else { return Ok(None) };
        loop {
            if let Some(step) = reading.told() {
                return Ok(Some(step));
            }
            reading.read = match &mut reading.history {
                Some(history) => Box::pin(history.next()).await?,
                None => None,
            };
            if reading.read.is_none() {
                break;
            }
        }
        let Reading { shard, from, to, .. } = **reading;
        self.reading = None;
        if from < to {
            tracing::warn!(%shard, %from, %to, "events are in neither tier");
            return Ok(Some(Step::Gap { shard, from, to, reason: GapReason::Lost }));
        }
        Ok(None)
    }
}

impl Reading {
    /// What was read, up to what is in dead letters; then that.
    fn told(&mut self) -> Option<Step> {
        let (shard, from) = (self.shard, self.from);
        let read = self.read.as_ref().filter(|read| read.to > from)?;
        while self.lettered.front().is_some_and(|(_, to)| *to <= from) {
            self.lettered.pop_front();
        }
        let to = match self.lettered.front() {
            Some((begin, to)) if *begin <= from => {
                self.from = *to;
                return Some(Step::Gap { shard, from, to: *to, reason: GapReason::DeadLetter });
            }
            Some((begin, _)) => read.to.min(*begin),
            None => read.to,
        };
        self.from = to;
        Some(Step::Events { shard, from, to, blocks: read.blocks.clone() })
    }
}
