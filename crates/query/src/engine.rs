//! Runs one statement for one tenant, within limits.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_optimizer::PhysicalOptimizerRule as _;
use datafusion::physical_optimizer::combine_partial_final_agg::CombinePartialFinalAggregate;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::time::Instant;
use watershed_lake::Lake;
use watershed_schema::TenantId;

use crate::history::Rooms;
use crate::table::Events;
use crate::time_travel::{EVENTS_AT, EventsAt};
use crate::{HotTier, Param, Progress, QueryError, functions, guard, params};

/// What one query may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest time, also when the caller asks for more.
    pub deadline: Duration,
    /// Memory of sorts, joins and aggregates.
    pub memory_bytes: usize,
    /// Rows of a result.
    pub rows_max: u64,
}

/// A result as it comes.
pub struct Rows {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows; ends with an error when a limit is reached.
    pub batches: BoxStream<'static, Result<RecordBatch, QueryError>>,
}

/// SQL over `events`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) hot: Arc<dyn HotTier>,
    pub(crate) lake: Option<Arc<Lake>>,
    pub(crate) limits: Limits,
    pub(crate) rooms: Rooms,
    /// Told by analytics as they go on.
    pub(crate) progress: Progress,
}

/// A query whose rows were trimmed under it starts again this often.
pub(crate) const ATTEMPTS: usize = 3;

type First = Option<Result<RecordBatch, QueryError>>;

impl Engine {
    /// Over a hot tier and a lake.
    #[must_use]
    pub fn new(hot: Arc<dyn HotTier>, lake: Option<Arc<Lake>>, limits: Limits) -> Self {
        Self { hot, lake, limits, rooms: Rooms::default(), progress: Progress::default() }
    }

    /// The same, of which one question of analytics counts what it reads in `progress`.
    #[must_use]
    pub fn watched(&self, progress: Progress) -> Self {
        Self { progress, ..self.clone() }
    }

    /// Runs a statement that reads.
    ///
    /// # Errors
    /// [`QueryError`]; further ones may come with the rows.
    pub async fn sql(&self, tenant: &TenantId, sql: &str, deadline: Option<Duration>) -> Result<Rows, QueryError> {
        self.sql_with(tenant, (sql, &[]), deadline).await
    }

    /// The same with a value for each of `$1`, `$2`, … in the statement.
    ///
    /// # Errors
    /// [`QueryError`]; further ones may come with the rows.
    pub async fn sql_with(
        &self,
        tenant: &TenantId,
        asked: (&str, &[Param]),
        deadline: Option<Duration>,
    ) -> Result<Rows, QueryError> {
        guard::check(asked.0)?;
        self.run(tenant, deadline, asked).await
    }

    async fn run(&self, tenant: &TenantId, deadline: Option<Duration>, asked: (&str, &[Param])) -> Result<Rows, QueryError> {
        let limit = deadline.map_or(self.limits.deadline, |asked| asked.min(self.limits.deadline));
        let (end, late) = (Instant::now() + limit, || QueryError::Deadline { ms: limit.as_millis() });
        for _ in 1..ATTEMPTS {
            let started = tokio::time::timeout_at(end, self.start(tenant, asked)).await;
            match started.map_err(|_elapsed| late())? {
                Ok((Some(Err(error)), _)) | Err(error) if error.is_trimmed() => {}
                other => return other.map(|(first, rest)| self.rows(first, rest, end, limit)),
            }
        }
        let started = tokio::time::timeout_at(end, self.start(tenant, asked)).await;
        started.map_err(|_elapsed| late())?.map(|(first, rest)| self.rows(first, rest, end, limit))
    }

    /// Plans, and takes the first rows: until they came nothing was told, so the query may start again.
    async fn start(
        &self,
        tenant: &TenantId,
        (sql, params): (&str, &[Param]),
    ) -> Result<(First, SendableRecordBatchStream), QueryError> {
        let of = |error| QueryError::of(error, self.limits.memory_bytes);
        let events = Events::pin(tenant, None, &self.hot, self.lake.as_deref()).await?;
        let session = self.session_context().map_err(of)?;
        let past = EventsAt { tenant: tenant.clone(), hot: Arc::clone(&self.hot), pinned: events.pinned.clone() };
        session.register_udtf(EVENTS_AT, Arc::new(past));
        session.register_table("events", Arc::new(events)).map_err(of)?;
        let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let planned = params::bind(session.sql_with_options(sql, options).await.map_err(of)?, params)?;
        let mut rows = planned.execute_stream().await.map_err(of)?;
        let first = rows.next().await.map(|first| first.map_err(of));
        Ok((first, rows))
    }

    pub(crate) fn session_context(&self) -> datafusion::error::Result<SessionContext> {
        Ok(with_functions(self.session_state(cores())?))
    }

    /// The same, in which a partial aggregate stays one also over a single partition: other nodes may do it.
    pub(crate) fn split_session(&self, partitions: usize) -> datafusion::error::Result<SessionContext> {
        let combines = CombinePartialFinalAggregate::new();
        let rules = PhysicalOptimizer::new().rules.into_iter().filter(|rule| rule.name() != combines.name()).collect();
        Ok(with_functions(self.session_state(partitions)?.with_physical_optimizer_rules(rules)))
    }

    fn session_state(&self, partitions: usize) -> datafusion::error::Result<SessionStateBuilder> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(self.limits.memory_bytes, 1.0)
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()?;
        let config = SessionConfig::new().with_target_partitions(partitions).with_information_schema(false);
        Ok(SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features())
    }

    fn rows(&self, first: First, rest: SendableRecordBatchStream, end: Instant, limit: Duration) -> Rows {
        let (memory, rows_max) = (self.limits.memory_bytes, self.limits.rows_max);
        let schema = rest.schema();
        let all = stream::iter(first).chain(rest.map(move |batch| batch.map_err(|error| QueryError::of(error, memory))));
        let batches = stream::unfold(Some((Box::pin(all), 0)), move |state| async move {
            let (mut all, seen) = state?;
            let next = match tokio::time::timeout_at(end, all.next()).await {
                Ok(next) => next?,
                Err(_elapsed) => Err(QueryError::Deadline { ms: limit.as_millis() }),
            };
            let next = next.and_then(|batch| {
                let seen = seen + batch.num_rows() as u64;
                if seen > rows_max { Err(QueryError::TooManyRows { limit: rows_max }) } else { Ok((batch, seen)) }
            });
            match next {
                Ok((batch, seen)) => Some((Ok(batch), Some((all, seen)))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Rows { schema, batches: batches.boxed() }
    }
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn with_functions(state: SessionStateBuilder) -> SessionContext {
    let session = SessionContext::new_with_state(state.build());
    functions::register(&session);
    session
}
