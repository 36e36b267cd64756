//! Runs one statement for one tenant, within limits.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{DataFrame, SQLOptions, SessionConfig, SessionContext, col, lit};
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::time::Instant;
use watershed_lake::Lake;
use watershed_schema::{Column, TenantId, proto};

use crate::table::Events;
use crate::{HotTier, QueryError, events, guard};

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
    hot: Arc<dyn HotTier>,
    lake: Option<Arc<Lake>>,
    limits: Limits,
}

/// A query whose rows were trimmed under it starts again this often.
const ATTEMPTS: usize = 3;

/// What is asked.
#[derive(Clone, Copy)]
enum Question<'a> {
    Sql(&'a str),
    /// Every row with this value, ordered by time.
    AllWith(Column, &'a str),
}

impl Question<'_> {
    async fn plan(self, session: SessionContext) -> datafusion::error::Result<DataFrame> {
        match self {
            Self::Sql(sql) => {
                let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
                session.sql_with_options(sql, options).await
            }
            Self::AllWith(column, id) => {
                let order = [Column::Timestamp, Column::Shard, Column::Sequence];
                let rows = session.table("events").await?.filter(col(column.name()).eq(lit(id)))?;
                rows.sort(order.iter().map(|by| col(by.name()).sort(true, false)).collect())
            }
        }
    }
}

type First = Option<Result<RecordBatch, QueryError>>;

impl Engine {
    /// Over a hot tier and a lake.
    #[must_use]
    pub fn new(hot: Arc<dyn HotTier>, lake: Option<Arc<Lake>>, limits: Limits) -> Self {
        Self { hot, lake, limits }
    }

    /// Runs a statement that reads.
    ///
    /// # Errors
    /// [`QueryError`]; further ones may come with the rows.
    pub async fn sql(&self, tenant: &TenantId, sql: &str, deadline: Option<Duration>) -> Result<Rows, QueryError> {
        guard::check(sql)?;
        self.run(tenant, deadline, Question::Sql(sql)).await
    }

    /// All events of a trace, ordered by time.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn trace(&self, tenant: &TenantId, trace_id: &str) -> Result<Vec<proto::Event>, QueryError> {
        self.all_with(tenant, Column::TraceId, trace_id).await
    }

    /// All events of a session, ordered by time.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn session(&self, tenant: &TenantId, session_id: &str) -> Result<Vec<proto::Event>, QueryError> {
        self.all_with(tenant, Column::SessionId, session_id).await
    }

    async fn all_with(&self, tenant: &TenantId, column: Column, id: &str) -> Result<Vec<proto::Event>, QueryError> {
        let mut rows = self.run(tenant, None, Question::AllWith(column, id)).await?;
        let mut found = Vec::new();
        while let Some(batch) = rows.batches.next().await {
            found.extend(events::of(tenant, &batch?)?);
        }
        Ok(found)
    }

    async fn run(&self, tenant: &TenantId, deadline: Option<Duration>, question: Question<'_>) -> Result<Rows, QueryError> {
        let limit = deadline.map_or(self.limits.deadline, |asked| asked.min(self.limits.deadline));
        let (end, late) = (Instant::now() + limit, || QueryError::Deadline { ms: limit.as_millis() });
        for _ in 1..ATTEMPTS {
            let started = tokio::time::timeout_at(end, self.start(tenant, question)).await;
            match started.map_err(|_elapsed| late())? {
                Ok((Some(Err(error)), _)) | Err(error) if error.is_trimmed() => {}
                other => return other.map(|(first, rest)| self.rows(first, rest, end, limit)),
            }
        }
        let started = tokio::time::timeout_at(end, self.start(tenant, question)).await;
        started.map_err(|_elapsed| late())?.map(|(first, rest)| self.rows(first, rest, end, limit))
    }

    /// Plans, and takes the first rows: until they came nothing was told, so the query may start again.
    async fn start(&self, tenant: &TenantId, question: Question<'_>) -> Result<(First, SendableRecordBatchStream), QueryError> {
        let of = |error| QueryError::of(error, self.limits.memory_bytes);
        let events = Events::pin(tenant, &self.hot, self.lake.as_deref()).await?;
        let session = self.session_context().map_err(of)?;
        session.register_table("events", Arc::new(events)).map_err(of)?;
        let mut rows = question.plan(session).await.map_err(of)?.execute_stream().await.map_err(of)?;
        let first = rows.next().await.map(|first| first.map_err(of));
        Ok((first, rows))
    }

    fn session_context(&self) -> datafusion::error::Result<SessionContext> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(self.limits.memory_bytes, 1.0)
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let config = SessionConfig::new().with_target_partitions(cores).with_information_schema(false);
        Ok(SessionContext::new_with_config_rt(config, runtime))
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
