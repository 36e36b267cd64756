//! SQL to what is computed for each event, for each window, and for each row of the result.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::DFSchema;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{LoweredAggregate, LoweredAggregateBuilder};
use datafusion::prelude::SessionContext;
use watershed_schema::arrow::{data_type, schema_of};
use watershed_schema::{Column, Kind};

use super::shape;
use crate::{QueryError, condition};

/// Longest text of a live query, bytes.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// Columns before those that are selected.
const WINDOW: [&str; 2] = ["window_start", "window_end"];

/// A compiled live query.
#[derive(Debug)]
pub struct LiveQuery {
    /// What it reads of an event.
    columns: Vec<Column>,
    condition: Option<Arc<dyn PhysicalExpr>>,
    groups: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) aggregates: Vec<LoweredAggregate>,
    /// Groups, then aggregates.
    folded: SchemaRef,
    /// What is selected of those.
    selected: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
    pub(super) keys: RowConverter,
}

impl LiveQuery {
    /// Compiles `SELECT service_name, count(*) FROM events WHERE outcome = 'error' GROUP BY 1`.
    ///
    /// # Errors
    /// [`QueryError::InvalidSql`]: no SQL, a clause that has no meaning here, a column that does not exist.
    pub async fn compile(sql: &str) -> Result<Self, QueryError> {
        if sql.len() > TEXT_BYTES_MAX {
            return Err(invalid(format!("the live query has {} bytes, limit {TEXT_BYTES_MAX}", sql.len())));
        }
        shape::check(sql)?;
        let session = condition::context();
        let planned = planned(sql, &session).await?;
        let LogicalPlan::Projection(Projection { expr, input, schema, .. }) = &planned else { return Err(odd(&planned)) };
        let LogicalPlan::Aggregate(aggregate) = input.as_ref() else {
            return Err(shape::refused("a SELECT without an aggregate"));
        };
        let (filter, source) = match aggregate.input.as_ref() {
            LogicalPlan::Filter(filter) => (Some(&filter.predicate), filter.input.as_ref()),
            source => (None, source),
        };
        let parts = Parts { session: &session, aggregate, filter, source };
        parts.compiled(expr, schema)
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Which rows count.
    pub(super) fn condition(&self, rows: &RecordBatch) -> Result<BooleanArray, QueryError> {
        match &self.condition {
            None => Ok(BooleanArray::from(vec![true; rows.num_rows()])),
            Some(condition) => Ok(evaluated(condition, rows)?.as_boolean().clone()),
        }
    }

    /// The values that say which group a row is of; without GROUP BY one that is always the same.
    pub(super) fn groups(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>, QueryError> {
        if self.groups.is_empty() {
            return Ok(vec![Arc::new(BooleanArray::from(vec![true; rows.num_rows()]))]);
        }
        self.groups.iter().map(|group| evaluated(group, rows)).collect()
    }

    /// How many of them are columns of the result.
    pub(super) fn group_columns(&self) -> usize {
        self.groups.len()
    }

    /// What is selected of groups and their aggregates, in front of it the window.
    pub(super) fn selected(
        &self,
        folded: Vec<ArrayRef>,
        (start, end): (i64, i64),
        rows: usize,
    ) -> Result<RecordBatch, QueryError> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let folded = RecordBatch::try_new_with_options(Arc::clone(&self.folded), folded, &options).map_err(internal)?;
        let times = [start, end].map(|at| {
            let times = arrow::array::TimestampMicrosecondArray::from_value(at, rows);
            Arc::new(times.with_timezone(watershed_schema::arrow::UTC)) as ArrayRef
        });
        let selected = self.selected.iter().map(|expression| evaluated(expression, &folded));
        let columns = times.into_iter().map(Ok).chain(selected).collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new_with_options(self.schema(), columns, &options).map_err(internal)
    }
}

/// An expression's values for some rows.
pub(super) fn evaluated(expression: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<ArrayRef, QueryError> {
    let values = expression.evaluate(rows).and_then(|value| value.into_array(rows.num_rows()));
    values.map_err(|error| condition::located(&error))
}

/// Types agreed on, nothing rewritten: the parts stand where the SQL has them.
async fn planned(sql: &str, session: &SessionContext) -> Result<LogicalPlan, QueryError> {
    let located = |error: DataFusionError| condition::located(&error);
    let events = Arc::new(EmptyTable::new(schema_of(Column::ALL)));
    session.register_table("events", events).map_err(located)?;
    let state = session.state();
    let plan = state.create_logical_plan(sql).await.map_err(located)?;
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).map_err(located)
}

/// A live query as it was planned.
struct Parts<'a> {
    session: &'a SessionContext,
    aggregate: &'a Aggregate,
    filter: Option<&'a Expr>,
    source: &'a LogicalPlan,
}

impl Parts<'_> {
    fn compiled(&self, selected: &[Expr], schema: &DFSchema) -> Result<LiveQuery, QueryError> {
        let Aggregate { group_expr, aggr_expr, schema: folded, .. } = self.aggregate;
        if let Some(Expr::GroupingSet(_)) = group_expr.first() {
            return Err(shape::refused("GROUPING SETS"));
        }
        let columns = self.columns();
        let row = self.row(&columns)?;
        let groups = group_expr.iter().map(|expr| self.physical(expr, &row)).collect::<Result<Vec<_>, _>>()?;
        let mut keys: Vec<_> = folded.fields().iter().take(groups.len()).map(|field| field.data_type().clone()).collect();
        if keys.is_empty() {
            keys.push(DataType::Boolean);
        }
        Ok(LiveQuery {
            condition: self.filter.map(|expr| self.physical(expr, &row)).transpose()?,
            aggregates: aggr_expr.iter().map(|expr| self.lowered(expr, &row)).collect::<Result<_, _>>()?,
            keys: RowConverter::new(keys.into_iter().map(SortField::new).collect()).map_err(internal)?,
            folded: Arc::clone(folded.inner()),
            selected: selected.iter().map(|expr| self.physical(expr, folded)).collect::<Result<_, _>>()?,
            schema: with_window(schema)?,
            columns,
            groups,
        })
    }

    /// What is named anywhere, and the time.
    fn columns(&self) -> Vec<Column> {
        let Aggregate { group_expr, aggr_expr, .. } = self.aggregate;
        let all = || group_expr.iter().chain(aggr_expr).chain(self.filter);
        let is_named = |column: &Column| all().any(|expr| expr.column_refs().iter().any(|named| named.name == column.name()));
        let is_read = |column: &Column| *column == Column::Timestamp || is_named(column);
        Column::ALL.iter().copied().filter(is_read).collect()
    }

    /// These columns as the plan calls them.
    fn row(&self, columns: &[Column]) -> Result<DFSchema, QueryError> {
        let fields = self.source.schema().iter();
        let read = fields.filter(|(_, field)| columns.iter().any(|column| column.name() == field.name()));
        let read = read.map(|(table, field)| (table.cloned(), Arc::clone(field))).collect();
        DFSchema::new_with_metadata(read, HashMap::new()).map_err(|error| condition::located(&error))
    }

    fn physical(&self, expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>, QueryError> {
        self.session.create_physical_expr(expr.clone(), schema).map_err(|error| condition::located(&error))
    }

    fn lowered(&self, expr: &Expr, row: &DFSchema) -> Result<LoweredAggregate, QueryError> {
        let state = self.session.state();
        let builder = LoweredAggregateBuilder::new(expr, row, row.as_arrow(), state.execution_props());
        let lowered = builder.build().map_err(|error| condition::located(&error))?;
        if !lowered.order_bys.is_empty() {
            return Err(shape::refused("ORDER BY inside an aggregate"));
        }
        Ok(lowered)
    }
}

fn with_window(selected: &DFSchema) -> Result<SchemaRef, QueryError> {
    if let Some(name) = WINDOW.iter().find(|name| selected.fields().iter().any(|field| field.name() == **name)) {
        return Err(invalid(format!("{name} is a column of every live query: another name is wanted")));
    }
    let times = WINDOW.map(|name| Arc::new(Field::new(name, data_type(Kind::Time), false)));
    let selected = selected.fields().iter().map(|field| Arc::new(Field::new(field.name(), field.data_type().clone(), true)));
    Ok(Arc::new(Schema::new(times.into_iter().chain(selected).collect::<Vec<_>>())))
}

fn odd(plan: &LogicalPlan) -> QueryError {
    QueryError::Internal(format!("a live query was planned as {}", plan.display()))
}

fn invalid(message: String) -> QueryError {
    QueryError::InvalidSql { message }
}

pub(super) fn internal(error: arrow::error::ArrowError) -> QueryError {
    QueryError::Internal(error.to_string())
}
