//! Rows of one file of the lake that are wanted of a shard.

use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType};
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext, col, lit};
use std::sync::Arc;
use watershed_lake::{FileOfShard, Pinned, ShardRows};
use watershed_schema::arrow::{UTC, schema_of};
use watershed_schema::{Column, Seq};

use crate::predicates::Predicates;
use crate::{Progress, QueryError, lake_scan};

/// Compressed bytes of a file that become columns at a time: some ten times as much is decoded.
const SLICE_BYTES: u64 = 1 << 20;

/// Reads files of a snapshot.
pub(super) struct Reader<'a> {
    pub(super) pinned: &'a Pinned,
    pub(super) any_of: &'a [(Column, Vec<String>)],
}

impl Reader<'_> {
    /// Whole events.
    pub(super) fn events(&self, file: &FileOfShard, wanted: &ShardRows) -> Result<SendableRecordBatchStream, QueryError> {
        self.rows(file, wanted, &schema_of(Column::ALL))
    }

    /// What [`lowest`] looks at.
    pub(super) fn numbers(&self, file: &FileOfShard, wanted: &ShardRows) -> Result<SendableRecordBatchStream, QueryError> {
        self.rows(file, wanted, &schema_of(&[Column::Shard, Column::Sequence, Column::Timestamp]))
    }

    fn rows(&self, file: &FileOfShard, wanted: &ShardRows, schema: &SchemaRef) -> Result<SendableRecordBatchStream, QueryError> {
        let (tenant, predicates, progress) = (&wanted.tenant, Predicates::default(), Progress::default());
        let scan = lake_scan::Scan { pinned: self.pinned, tenant, predicates: &predicates, schema, progress: &progress };
        let config = SessionConfig::new().with_target_partitions(1).with_batch_size(slice_rows(file));
        let session = SessionContext::new_with_config(config);
        let plan = scan.plan_files(&session.state(), vec![file.file.clone()], &self.filters(wanted))?;
        let plan = plan.unwrap_or_else(|| Arc::new(EmptyExec::new(Arc::clone(schema))) as Arc<dyn ExecutionPlan>);
        execute_stream(plan, session.task_ctx()).map_err(|error| QueryError::of(error, 0))
    }

    /// What Parquet's reader checks before it decodes the other columns.
    fn filters(&self, wanted: &ShardRows) -> Vec<Expr> {
        let seq = || col(Column::Sequence.name());
        let mut filters = vec![
            col(Column::Ns.name()).eq(lit(wanted.tenant.as_str())),
            col(Column::Shard.name()).eq(lit(i32::from(wanted.shard.0))),
            seq().gt_eq(lit(wanted.from.0.cast_signed())),
            seq().lt(lit(i64::try_from(wanted.to.0).unwrap_or(i64::MAX))),
        ];
        if let Some(from_us) = wanted.from_us {
            let at = ScalarValue::TimestampMicrosecond(Some(from_us), Some(UTC.into()));
            filters.push(col(Column::Timestamp.name()).gt_eq(Expr::Literal(at, None)));
        }
        let lists = self.any_of.iter();
        filters.extend(lists.map(|(column, values)| col(column.name()).in_list(values.iter().map(lit).collect(), false)));
        filters
    }
}

fn slice_rows(file: &FileOfShard) -> usize {
    let row_bytes = (file.file.size / file.file.rows.max(1)).max(1);
    usize::try_from(SLICE_BYTES / row_bytes).unwrap_or(usize::MAX).clamp(16, 4_096)
}

/// The same rows without those that Parquet's reader may leave in.
pub(super) fn exactly(rows: &RecordBatch, wanted: &ShardRows) -> Result<RecordBatch, QueryError> {
    let shards = named(rows, Column::Shard)?.as_primitive::<Int32Type>();
    let seqs = named(rows, Column::Sequence)?.as_primitive::<Int64Type>();
    let times = named(rows, Column::Timestamp)?.as_primitive::<TimestampMicrosecondType>();
    let range = wanted.from..wanted.to;
    let is = |((shard, seq), at): ((Option<i32>, Option<i64>), Option<i64>)| {
        let in_time = wanted.from_us.is_none_or(|from_us| at.is_some_and(|at| at >= from_us));
        Some(in_time && shard == Some(i32::from(wanted.shard.0)) && seq.is_some_and(|seq| range.contains(&number(seq))))
    };
    let mask: BooleanArray = shards.iter().zip(seqs.iter()).zip(times.iter()).map(is).collect();
    filter_record_batch(rows, &mask).map_err(|error| QueryError::Internal(error.to_string()))
}

/// The lowest number of what is wanted.
pub(super) fn lowest(rows: &RecordBatch, wanted: &ShardRows) -> Result<Option<Seq>, QueryError> {
    Ok(numbers(&exactly(rows, wanted)?)?.min())
}

/// The rows' numbers.
pub(super) fn numbers(rows: &RecordBatch) -> Result<impl Iterator<Item = Seq>, QueryError> {
    let seqs = named(rows, Column::Sequence)?.as_primitive::<Int64Type>().values();
    Ok(seqs.iter().map(|seq| number(*seq)))
}

fn named(rows: &RecordBatch, column: Column) -> Result<&arrow::array::ArrayRef, QueryError> {
    rows.column_by_name(column.name()).ok_or_else(|| QueryError::Internal(format!("column {} is missing", column.name())))
}

fn number(seq: i64) -> Seq {
    Seq(u64::try_from(seq).unwrap_or_default())
}
