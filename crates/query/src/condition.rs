//! A condition over one event, as it stands behind SQL's `WHERE`: compiled once, held against rows as they come.

mod needs;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNode as _;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, ExprSchemable as _};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::{SessionConfig, SessionContext};
use watershed_schema::arrow::{ColumnsBuilder, schema_of};
use watershed_schema::{Column, Row, Seq, ShardId};

use crate::{QueryError, functions, guard};

/// Longest text of a condition, bytes.
const TEXT_BYTES_MAX: usize = 8 << 10;

/// A compiled condition.
#[derive(Clone, Debug)]
pub struct Condition {
    columns: Vec<Column>,
    expression: Arc<dyn PhysicalExpr>,
    needs: Vec<(Column, BTreeSet<String>)>,
}

impl Condition {
    /// Compiles `duration_ms > 100 AND http_status_code >= 500`.
    ///
    /// # Errors
    /// [`QueryError::InvalidSql`] with the line and column of what is wrong: no SQL, a column that does not exist, something
    /// that is neither true nor false, or that asks for more than one event (aggregates, subqueries).
    pub fn compile(text: &str) -> Result<Self, QueryError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(invalid(format!("the condition has {} bytes, limit {TEXT_BYTES_MAX}", text.len())));
        }
        let context = context();
        let expression = planned(text, &context, &described(Column::ALL)?)?;
        let columns: Vec<_> = Column::ALL.iter().copied().filter(|column| names(&expression, *column)).collect();
        let needs = needs::of(&expression);
        let compiled = context.create_physical_expr(expression, &described(&columns)?).map_err(|error| located(&error))?;
        let condition = Self { columns, expression: compiled, needs };
        // What cannot be computed row by row shows here, and not in the middle of a stream.
        condition.evaluate(&RecordBatch::new_empty(schema_of(&condition.columns)))?;
        Ok(condition)
    }

    /// Columns of which an event must have one of these texts to meet it, as far as that can be told before: who holds events
    /// against many conditions finds those by it that an event may meet. Of no texts: none does.
    #[must_use]
    pub fn needs(&self) -> &[(Column, BTreeSet<String>)] {
        &self.needs
    }

    /// Which of these events meet it; one that makes it neither true nor false does not.
    ///
    /// # Errors
    /// [`QueryError::InvalidSql`] when it cannot be computed for one of them, as a division by zero.
    pub fn matches<'a>(&self, rows: impl IntoIterator<Item = (ShardId, Seq, Row<'a>)>) -> Result<Vec<bool>, QueryError> {
        let mut columns = ColumnsBuilder::new(&self.columns);
        columns.extend(rows).map_err(|error| QueryError::Internal(format!("row in the log: {error}")))?;
        let truth = self.evaluate(&columns.finish())?;
        Ok(truth.iter().map(|one| one == Some(true)).collect())
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, QueryError> {
        let value = self.expression.evaluate(batch).map_err(|error| located(&error))?;
        let array = value.into_array(batch.num_rows()).map_err(|error| located(&error))?;
        Ok(array.as_boolean().clone())
    }
}

/// What a caller wrote, as an expression over one row of `schema`.
///
/// # Errors
/// As [`Condition::compile`].
pub(crate) fn planned(text: &str, session: &SessionContext, schema: &DFSchema) -> Result<Expr, QueryError> {
    let parsed = guard::condition(text).map_err(without_statements)?;
    let expression = session.state().create_logical_expr_from_sql_expr(parsed, schema).map_err(|error| located(&error))?;
    if folds(&expression).map_err(|error| located(&error))? {
        return Err(invalid("an aggregate inside a condition is not allowed".to_owned()));
    }
    match expression.get_type(schema).map_err(|error| located(&error))? {
        DataType::Boolean => Ok(expression),
        kind => Err(invalid(format!("{text:?} is {kind}, not true or false"))),
    }
}

/// Whether it asks for more than one row.
fn folds(expression: &Expr) -> datafusion::error::Result<bool> {
    expression.exists(|part| Ok(matches!(part, Expr::AggregateFunction(_) | Expr::WindowFunction(_))))
}

pub(crate) fn context() -> SessionContext {
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.collect_spans = true;
    let context = SessionContext::new_with_config(config);
    functions::register(&context);
    context
}

fn described(columns: &[Column]) -> Result<DFSchema, QueryError> {
    DFSchema::try_from(schema_of(columns)).map_err(|error| QueryError::Internal(error.to_string()))
}

fn names(expression: &Expr, column: Column) -> bool {
    expression.column_refs().iter().any(|named| named.name == column.name())
}

/// A condition is no statement: which of those are allowed does not help.
pub(crate) fn without_statements(error: QueryError) -> QueryError {
    match error {
        QueryError::Refused { what } => invalid(format!("{what} is not allowed")),
        other => other,
    }
}

fn invalid(message: String) -> QueryError {
    QueryError::InvalidSql { message }
}

/// The same with its place, where DataFusion knows it.
pub(crate) fn located(error: &DataFusionError) -> QueryError {
    let message = error.strip_backtrace();
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    match span {
        Some(span) => invalid(format!("{message} at Line: {}, Column: {}", span.start.line, span.start.column)),
        None => invalid(message),
    }
}

#[cfg(test)]
mod tests {
    use watershed_schema::{BatchBuilder, EventBatch, TenantId};

    use super::*;

    fn batch() -> EventBatch {
        let mut builder = BatchBuilder::new(TenantId::default(), 1_024);
        for n in 0..4 {
            builder.row(None, |row| {
                row.str(Column::Id, &n.to_string());
                row.str(Column::EventType, "log");
                row.str(Column::EventName, if n % 2 == 0 { "even" } else { "odd" });
                row.int(Column::Timestamp, 1_700_000_000_000_000 + n);
                if n == 3 {
                    row.json(Column::Properties, r#"{"plan":"pro"}"#);
                }
                if n > 0 {
                    row.float(Column::DurationMs, n as f64);
                }
            });
        }
        builder.finish().unwrap()
    }

    fn matching(text: &str) -> Vec<usize> {
        let batch = batch();
        let rows = batch.rows().zip(1..).map(|(row, seq)| (ShardId(0), Seq(seq), row));
        let truth = Condition::compile(text).unwrap().matches(rows).unwrap();
        truth.iter().enumerate().filter(|(_, is)| **is).map(|(index, _)| index).collect()
    }

    #[test]
    fn what_is_true_matches() {
        assert_eq!(matching("event_name = 'even'"), [0, 2]);
        assert_eq!(matching("duration_ms > 1"), [2, 3], "nothing is not more than one");
        assert_eq!(matching("duration_ms IS NULL OR event_name LIKE 'o%'"), [0, 1, 3]);
        assert_eq!(matching("_seq = 2"), [1]);
        assert_eq!(matching("timestamp >= TIMESTAMP '2023-11-14T22:13:20.000003Z'"), [3]);
        assert_eq!(matching("json_get(properties, 'plan') = 'pro'"), [3], "functions of ours are there, too");
        assert_eq!(matching("true"), [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, said) in [
            ("duration_ms >", "Line: 1, Column: 14"),
            ("id = 'a' AND )", "Line: 1, Column: 14"),
            ("nothing > 1", "Line: 1, Column: 1"),
            ("event_name = 'a' AND colour = 1", "Line: 1, Column: 22"),
            ("duration_ms", "true or false"),
            ("count(*) > 1", "aggregat"),
            ("id IN (SELECT id FROM events)", ""),
            ("EXISTS (SELECT 1)", ""),
            ("a; DROP TABLE events", ""),
            ("", ""),
        ] {
            let refused = Condition::compile(text).map(drop).unwrap_err();
            assert!(matches!(refused, QueryError::InvalidSql { .. }), "{text}: {refused:?}");
            assert!(refused.to_string().to_lowercase().contains(&said.to_lowercase()), "{text}: {refused}");
        }
        let long = format!("id = '{}'", "x".repeat(TEXT_BYTES_MAX));
        assert!(Condition::compile(&long).unwrap_err().to_string().contains("limit 8192"));
    }
}
