//! Runs an analysis: plans, folds the rows as they come, starts again when rows were trimmed under it.

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::prelude::DataFrame;
use futures::StreamExt as _;
use tokio::time::Instant;
use watershed_schema::{TenantId, proto};

use super::range::Range;
use super::source::{EVENTS, HOT, Source};
use crate::engine::ATTEMPTS;
use crate::{Engine, QueryError};

/// A question: a plan, and what is made of its rows.
pub(crate) trait Analysis: Sync {
    /// What the rows add up to.
    type Fold: Default + Send;

    /// Rows must have the columns of [`Source::tallies`].
    fn plan(&self, source: &Source) -> Result<DataFrame, QueryError>;

    fn take(&self, fold: &mut Self::Fold, rows: &RecordBatch) -> Result<(), QueryError>;

    /// Bytes that the fold holds.
    fn bytes(&self, fold: &Self::Fold) -> usize;
}

impl Engine {
    /// The answer is given out whole, so it may be made anew as long as there is time. Dropping the future ends all work.
    pub(crate) async fn analyse<A: Analysis>(
        &self,
        tenant: &TenantId,
        analysis: &A,
        range: &Range,
        now_us: i64,
    ) -> Result<(A::Fold, proto::Coverage), QueryError> {
        let limit = self.limits.deadline;
        let end = Instant::now() + limit;
        for attempt in 1.. {
            let done = tokio::time::timeout_at(end, self.once(tenant, analysis)).await;
            match done.map_err(|_elapsed| QueryError::Deadline { ms: limit.as_millis() })? {
                Err(error) if error.is_trimmed() && attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
                Ok((fold, source, counts)) => return Ok((fold, source.coverage(range, now_us, counts))),
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn once<A: Analysis>(&self, tenant: &TenantId, analysis: &A) -> Result<(A::Fold, Source, (u64, u64)), QueryError> {
        let memory_bytes = self.limits.memory_bytes;
        let of = |error| QueryError::of(error, memory_bytes);
        let source = Source::pin(self, tenant).await?;
        let held = MemoryConsumer::new("answer").register(&source.session.runtime_env().memory_pool);
        let mut rows = analysis.plan(&source)?.execute_stream().await.map_err(of)?;
        let (mut fold, mut events, mut hot) = (A::Fold::default(), 0, 0);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(of)?;
            events += total(&batch, EVENTS);
            hot += total(&batch, HOT);
            analysis.take(&mut fold, &batch)?;
            held.try_resize(analysis.bytes(&fold)).map_err(of)?;
        }
        Ok((fold, source, (events, hot)))
    }
}

/// Sum of a column of counts; 0 when there is none.
fn total(rows: &RecordBatch, column: &str) -> u64 {
    let counts = rows.column_by_name(column).map(|counts| counts.as_primitive::<Int64Type>());
    counts.map_or(0, |counts| counts.values().iter().map(|count| count.unsigned_abs()).sum())
}
