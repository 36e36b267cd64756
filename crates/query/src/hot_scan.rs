//! The hot side of a scan: pages of a shard become columns as they are asked for.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream;
use watershed_schema::arrow::ColumnsBuilder;
use watershed_schema::{Column, Row, Seq, ShardId, TenantId, Value, key_hash, name_hash};

use crate::engine::cores;
use crate::predicates::Predicates;
use crate::remote::{RemoteScan, Slice};
use crate::table::TIER;
use crate::{HotPage, HotRange, HotRequest, HotTier, Progress, hot_counts};

/// Events of one tenant with these columns.
pub(crate) struct Scan<'a> {
    pub(crate) hot: &'a Arc<dyn HotTier>,
    pub(crate) tenant: &'a TenantId,
    pub(crate) predicates: &'a Predicates,
    pub(crate) schema: &'a SchemaRef,
    pub(crate) progress: &'a Progress,
    /// Only as much as this takes.
    pub(crate) slice: Option<&'a Arc<Slice>>,
}

impl Scan<'_> {
    /// Partitions of about equal length: several for each shard, so that all cores have work.
    pub(crate) fn plan(&self, ranges: &[HotRange]) -> Result<Arc<dyn ExecutionPlan>> {
        let parts: Vec<HotRange> = match self.slice {
            // A slice ends in one place.
            Some(_) => ranges.to_vec(),
            None => ranges.iter().flat_map(|range| split(*range)).collect(),
        };
        if parts.is_empty() {
            return Ok(Arc::new(EmptyExec::new(Arc::clone(self.schema))));
        }
        let partitions = parts.iter().map(|part| Arc::new(self.of(part)) as Arc<dyn PartitionStream>).collect();
        Ok(Arc::new(StreamingTableExec::try_new(Arc::clone(self.schema), partitions, None, [], false, None)?))
    }

    /// The same of shards on other nodes, which are asked one thing at a time.
    pub(crate) fn plan_remote(&self, ranges: &[HotRange]) -> Arc<dyn ExecutionPlan> {
        Arc::new(RemoteScan::new(ranges.iter().map(|range| self.of(range)).collect(), self.schema))
    }

    fn of(&self, range: &HotRange) -> ShardScan {
        let request = HotRequest {
            from_us: self.predicates.from_us,
            to_us: self.predicates.to_us,
            event_types: self.predicates.type_mask(),
            keys: self.predicates.keys.clone(),
            names: self.predicates.names.clone(),
            ..HotRequest::all(self.tenant, range.trimmed, range.to)
        };
        self.progress.plan_hot(range.to.0 - range.trimmed.0);
        let (hot, schema, progress) = (Arc::clone(self.hot), Arc::clone(self.schema), self.progress.clone());
        ShardScan { hot, shard: range.shard, request, schema, progress, slice: self.slice.cloned() }
    }
}

/// Fewer events than this are not worth a partition.
const PART_EVENTS_MIN: u64 = 20_000;

fn split(range: HotRange) -> Vec<HotRange> {
    let events = range.to.0 - range.trimmed.0;
    let parts = (events / PART_EVENTS_MIN).clamp(1, cores() as u64);
    let at = |part: u64| Seq(range.trimmed.0 + events * part / parts);
    (0..parts).map(|part| HotRange { trimmed: at(part), to: at(part + 1), ..range }).collect()
}

#[derive(Clone, Debug)]
pub(crate) struct ShardScan {
    pub(crate) hot: Arc<dyn HotTier>,
    pub(crate) shard: ShardId,
    pub(crate) request: HotRequest,
    pub(crate) schema: SchemaRef,
    pub(crate) progress: Progress,
    pub(crate) slice: Option<Arc<Slice>>,
}

impl PartitionStream for ShardScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        if hot_counts::answers(&self.schema) {
            return hot_counts::execute(self.whole());
        }
        let batches = stream::try_unfold(self.clone(), ShardScan::next);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

impl ShardScan {
    /// Headers are few: all of them fit into a slice.
    fn whole(&self) -> Self {
        self.slice.iter().for_each(|slice| slice.add(0, self.request.to_seq_exclusive));
        Self { slice: None, ..self.clone() }
    }

    pub(crate) async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        while self.request.from_seq < self.request.to_seq_exclusive && !self.slice.as_ref().is_some_and(|slice| slice.is_full()) {
            let page =
                self.hot.page(self.shard, &self.request).await.map_err(|error| DataFusionError::External(Box::new(error)))?;
            let batch = self.columns(&page)?;
            self.progress.read_hot(page.next.0.saturating_sub(self.request.from_seq.0));
            self.request.from_seq = page.next;
            self.slice.iter().for_each(|slice| slice.add(batch.get_array_memory_size(), page.next));
            if batch.num_rows() > 0 {
                return Ok(Some((batch, self)));
            }
        }
        Ok(None)
    }

    fn columns(&self, page: &HotPage) -> Result<RecordBatch> {
        let columns: Vec<Column> = self.schema.fields().iter().filter_map(|field| Column::from_name(field.name())).collect();
        let mut builder = ColumnsBuilder::new(&columns);
        let range = self.request.from_seq..self.request.to_seq_exclusive;
        for (first, batch) in &page.blocks {
            let wanted = |index: usize, row: &Row<'_>| range.contains(&Seq(first.0 + index as u64)) && self.may_match(row);
            let appended = builder.append(self.shard, *first, batch, wanted);
            appended.map_err(|error| DataFusionError::Internal(format!("row in the log: {error}")))?;
        }
        self.with_tier(&builder.finish())
    }

    /// Ids and names are selective: rows that lack them need not become columns.
    fn may_match(&self, row: &Row<'_>) -> bool {
        let text = |column| row.get(column).ok().flatten().and_then(Value::as_str);
        let HotRequest { keys, names, .. } = &self.request;
        let key = || [Column::TraceId, Column::SessionId].into_iter().filter_map(text).any(|id| keys.contains(&key_hash(id)));
        let name = || text(Column::EventName).is_some_and(|name| names.contains(&name_hash(name)));
        (keys.is_empty() || key()) && (names.is_empty() || name())
    }

    fn with_tier(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let column = |field: &Arc<arrow::datatypes::Field>| match rows.column_by_name(field.name()) {
            Some(column) => Arc::clone(column),
            None => {
                debug_assert_eq!(field.name(), TIER, "the only column that is not in the registry");
                Arc::new(StringArray::from_iter_values(std::iter::repeat_n("hot", rows.num_rows()))) as ArrayRef
            }
        };
        let columns = self.schema.fields().iter().map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}
