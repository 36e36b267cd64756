//! Whole traces and sessions: every row with one id.
//!
//! No SQL is planned: planning 178 columns takes several times as long as reading a trace.

use std::time::Duration;

use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{col, lit};
use futures::StreamExt as _;
use std::sync::Arc;
use tokio::time::Instant;
use watershed_schema::arrow::{ColumnsBuilder, schema_of};
use watershed_schema::{Column, Row, Seq, TenantId, Value, key_hash, proto};

use crate::engine::ATTEMPTS;
use crate::predicates::Predicates;
use crate::table::Events;
use crate::{Engine, HotRange, HotRequest, Limits, QueryError, events, lake_scan};

/// Which rows.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    tenant: &'a TenantId,
    column: Column,
    id: &'a str,
}

/// Rows so far, within limits.
struct Found {
    events: Vec<proto::Event>,
    bytes: usize,
    limits: Limits,
}

impl Engine {
    /// All events of a trace, ordered by time.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn trace(&self, tenant: &TenantId, trace_id: &str) -> Result<Vec<proto::Event>, QueryError> {
        self.lookup(Wanted { tenant, column: Column::TraceId, id: trace_id }).await
    }

    /// All events of a session, ordered by time.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn session(&self, tenant: &TenantId, session_id: &str) -> Result<Vec<proto::Event>, QueryError> {
        self.lookup(Wanted { tenant, column: Column::SessionId, id: session_id }).await
    }

    /// Rows that were trimmed under the lookup are in a newer snapshot: it starts again.
    async fn lookup(&self, wanted: Wanted<'_>) -> Result<Vec<proto::Event>, QueryError> {
        let deadline: Duration = self.limits.deadline;
        let end = Instant::now() + deadline;
        for attempt in 1.. {
            let found = tokio::time::timeout_at(end, self.find(wanted)).await;
            match found.map_err(|_elapsed| QueryError::Deadline { ms: deadline.as_millis() })? {
                Err(error) if error.is_trimmed() && attempt < ATTEMPTS => {}
                done => return done,
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn find(&self, wanted: Wanted<'_>) -> Result<Vec<proto::Event>, QueryError> {
        let trace = (wanted.column == Column::TraceId).then_some(wanted.id);
        let events = Events::pin(wanted.tenant, trace, &self.hot, self.lake.as_deref()).await?;
        let mut found = Found { events: Vec::new(), bytes: 0, limits: self.limits };
        for range in &events.ranges {
            hot(&events, *range, wanted, &mut found).await?;
        }
        self.lake(&events, wanted, &mut found).await?;
        Ok(found.in_order())
    }

    async fn lake(&self, events: &Events, wanted: Wanted<'_>, found: &mut Found) -> Result<(), QueryError> {
        let Some(pinned) = events.pinned.as_ref().filter(|pinned| !pinned.is_empty()) else { return Ok(()) };
        let of = |error| QueryError::of(error, self.limits.memory_bytes);
        let filter = [col(wanted.column.name()).eq(lit(wanted.id))];
        let (predicates, schema) = (Predicates::of(&filter), schema_of(Column::ALL));
        let (tenant, progress) = (wanted.tenant, &events.progress);
        let scan = |pinned| lake_scan::Scan { pinned, tenant, predicates: &predicates, schema: &schema, progress };
        let session = self.session_context().map_err(of)?;
        let plan: Option<Arc<dyn ExecutionPlan>> = lake_scan::plan(&pinned.tables, scan, (&session.state(), &filter)).await?;
        let Some(plan) = plan else { return Ok(()) };
        let mut rows = execute_stream(plan, session.task_ctx()).map_err(of)?;
        while let Some(batch) = rows.next().await {
            found.add(wanted, &wanted.of(&batch.map_err(of)?)?)?;
        }
        Ok(())
    }
}

async fn hot(events: &Events, range: HotRange, wanted: Wanted<'_>, found: &mut Found) -> Result<(), QueryError> {
    let mut request = HotRequest { keys: vec![key_hash(wanted.id)], ..HotRequest::all(wanted.tenant, range.trimmed, range.to) };
    let mut columns = ColumnsBuilder::new(Column::ALL);
    while request.from_seq < request.to_seq_exclusive {
        let page = events.hot.page(range.shard, &request).await?;
        let inside = request.from_seq..request.to_seq_exclusive;
        for (first, batch) in &page.blocks {
            let keep = |index: usize, row: &Row<'_>| inside.contains(&Seq(first.0 + index as u64)) && wanted.is(row);
            let appended = columns.append(range.shard, *first, batch, keep);
            appended.map_err(|error| QueryError::Internal(format!("row in the log: {error}")))?;
        }
        if !columns.is_empty() {
            found.add(wanted, &columns.finish())?;
        }
        request.from_seq = page.next;
    }
    Ok(())
}

impl Wanted<'_> {
    fn is(&self, row: &Row<'_>) -> bool {
        row.get(self.column).ok().flatten().and_then(Value::as_str) == Some(self.id)
    }

    /// Parquet's reader may leave rows in that do not match.
    fn of(&self, rows: &RecordBatch) -> Result<RecordBatch, QueryError> {
        let internal = |error: &dyn std::fmt::Display| QueryError::Internal(error.to_string());
        let ids = rows.column_by_name(self.column.name()).ok_or_else(|| internal(&"the id's column is missing"))?;
        let mine: BooleanArray = ids.as_string::<i32>().iter().map(|id| Some(id == Some(self.id))).collect();
        filter_record_batch(rows, &mine).map_err(|error| internal(&error))
    }
}

impl Found {
    fn add(&mut self, wanted: Wanted<'_>, rows: &RecordBatch) -> Result<(), QueryError> {
        let Limits { memory_bytes: limit, rows_max, .. } = self.limits;
        self.bytes += rows.get_array_memory_size();
        if self.bytes > limit {
            let message = format!("{} of {} is {} bytes so far", wanted.column.name(), wanted.id, self.bytes);
            return Err(QueryError::Memory { limit, message });
        }
        self.events.extend(events::of(wanted.tenant, rows)?);
        if self.events.len() as u64 > rows_max { Err(QueryError::TooManyRows { limit: rows_max }) } else { Ok(()) }
    }

    fn in_order(mut self) -> Vec<proto::Event> {
        self.events.sort_by_key(|event| (event.timestamp, event.shard, event.seq));
        self.events
    }
}
