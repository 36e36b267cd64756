//! The table that an analysis reads, and which part of it is where.

use std::sync::Arc;

use datafusion::logical_expr::Expr;
use datafusion::prelude::{DataFrame, SessionContext, lit};
use watershed_schema::{Seq, TenantId, proto};

use super::field::is_hot;
use super::range::{self, Range};
use crate::engine::cores;
use crate::remote::Slice;
use crate::table::Events;
use crate::{Engine, HotRange, QueryError};

/// Names of the columns that count what was read.
pub(crate) const EVENTS: &str = "_events";
pub(crate) const HOT: &str = "_hot";

pub(crate) struct Source {
    pub(crate) session: SessionContext,
    pub(crate) events: DataFrame,
    tiers: Tiers,
    shards: Vec<proto::ShardCoverage>,
}

/// Where rows can come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tiers {
    Hot,
    Lake,
    Both,
}

impl Source {
    /// Everything, of which other nodes aggregate what they have.
    pub(crate) async fn pin(engine: &Engine, tenant: &TenantId) -> Result<Self, QueryError> {
        let mut events = Events::pin(tenant, None, &engine.hot, engine.lake.as_deref()).await?;
        events.is_split = true;
        events.progress = engine.progress.clone();
        events.progress.begin();
        let of = |error| QueryError::of(error, engine.limits.memory_bytes);
        let session = engine.split_session(cores()).map_err(of)?;
        let has_lake = events.pinned.as_ref().is_some_and(|pinned| !pinned.is_empty());
        let tiers = match (events.ranges.is_empty(), has_lake) {
            (false, true) => Tiers::Both,
            (true, true) => Tiers::Lake,
            (_, false) => Tiers::Hot,
        };
        let shards = shards(&events);
        let events = session.read_table(Arc::new(events)).map_err(of)?;
        Ok(Self { session, events, tiers, shards })
    }

    /// The beginning of a range that is here, for a node that has it in question.
    pub(crate) fn slice(
        engine: &Engine,
        tenant: &TenantId,
        range: HotRange,
        counts_hot: bool,
    ) -> Result<(Self, Arc<Slice>), QueryError> {
        let of = |error| QueryError::of(error, engine.limits.memory_bytes);
        let slice = Arc::new(Slice::new(range.trimmed));
        let session = engine.split_session(1).map_err(of)?;
        let events = Arc::new(Events::slice(tenant, &engine.hot, range, Arc::clone(&slice)));
        let events = session.read_table(events).map_err(of)?;
        let tiers = if counts_hot { Tiers::Both } else { Tiers::Hot };
        Ok((Self { session, events, tiers, shards: Vec::new() }, slice))
    }

    /// Whether rows of the hot tier are counted apart.
    pub(crate) fn counts_hot(&self) -> bool {
        self.tiers == Tiers::Both
    }

    /// Aggregates that count the rows, and those of the hot tier where that is a question.
    pub(crate) fn tallies(&self) -> Vec<Expr> {
        let count = datafusion::functions_aggregate::expr_fn::count;
        let all = count(lit(1_i64)).alias(EVENTS);
        let hot = || {
            let one = datafusion::logical_expr::when(is_hot(), lit(1_i64)).end().ok()?;
            Some(count(one).alias(HOT))
        };
        let hot = self.counts_hot().then(hot).flatten();
        std::iter::once(all).chain(hot).collect()
    }

    pub(crate) fn coverage(&self, range: &Range, now_us: i64, (events, hot): (u64, u64)) -> proto::Coverage {
        let hot_events = match self.tiers {
            Tiers::Hot => events,
            Tiers::Lake => 0,
            Tiers::Both => hot,
        };
        proto::Coverage {
            hot_events,
            lake_events: events - hot_events,
            complete_to: range::text(now_us),
            from: range.from_us.map(range::text).unwrap_or_default(),
            to: range.to_us.map(range::text).unwrap_or_default(),
            shards: self.shards.clone(),
        }
    }
}

fn shards(events: &Events) -> Vec<proto::ShardCoverage> {
    let watermark = |shard| events.pinned.as_ref().and_then(|pinned| pinned.watermark.get(&shard).copied());
    let coverage = |tail: &HotRange| {
        let lake = watermark(tail.shard).unwrap_or(Seq::FIRST);
        let shard = u32::from(tail.shard.0);
        proto::ShardCoverage { shard, lake_below_seq: lake.0, hot_below_seq: tail.to.max(lake).0 }
    };
    events.tails.iter().map(coverage).collect()
}
