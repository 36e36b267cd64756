//! Runs an analysis: plans, folds the rows as they come, starts again when rows were trimmed under it.

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::DataFrame;
use futures::StreamExt as _;
use std::sync::Arc;
use tokio::time::Instant;
use watershed_schema::proto::analytics_request::Question;
use watershed_schema::{TenantId, proto};

use super::range::Range;
use super::source::{EVENTS, HOT, Source};
use crate::engine::ATTEMPTS;
use crate::{Engine, QueryError, remote};

/// What somebody asks, and when.
pub(crate) struct Asked<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) question: Question,
    pub(crate) now_us: i64,
}

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
        asked: &Asked<'_>,
        analysis: &A,
        range: &Range,
    ) -> Result<(A::Fold, proto::Coverage), QueryError> {
        let limit = self.limits.deadline;
        let end = Instant::now() + limit;
        for attempt in 1.. {
            let done = tokio::time::timeout_at(end, self.once(asked, analysis)).await;
            match done.map_err(|_elapsed| QueryError::Deadline { ms: limit.as_millis() })? {
                Err(error) if error.is_trimmed() && attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
                Ok((fold, source, counts)) => return Ok((fold, source.coverage(range, asked.now_us, counts))),
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn once<A: Analysis>(&self, asked: &Asked<'_>, analysis: &A) -> Result<(A::Fold, Source, (u64, u64)), QueryError> {
        let memory_bytes = self.limits.memory_bytes;
        let of = |error| QueryError::of(error, memory_bytes);
        let source = Source::pin(self, asked.tenant).await?;
        let held = MemoryConsumer::new("answer").register(&source.session.runtime_env().memory_pool);
        let plan = asked.planned(&source, analysis).await?;
        let mut rows = execute_stream(plan, source.session.task_ctx()).map_err(of)?;
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

impl Asked<'_> {
    /// With what other nodes do of it.
    async fn planned(&self, source: &Source, analysis: &impl Analysis) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
        let of = |error| QueryError::of(error, 0);
        let question = proto::PeerPartial {
            tenant: self.tenant.as_str().to_owned(),
            question: Some(proto::AnalyticsRequest { question: Some(self.question.clone()) }),
            now_us: self.now_us,
            counts_hot: source.counts_hot(),
            ..proto::PeerPartial::default()
        };
        let plan = analysis.plan(source)?.create_physical_plan().await.map_err(of)?;
        remote::push(plan, &Arc::new(question)).map_err(of)
    }
}

/// Sum of a column of counts; 0 when there is none.
fn total(rows: &RecordBatch, column: &str) -> u64 {
    let counts = rows.column_by_name(column).map(|counts| counts.as_primitive::<Int64Type>());
    counts.map_or(0, |counts| counts.values().iter().map(|count| count.unsigned_abs()).sum())
}
