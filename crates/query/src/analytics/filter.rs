//! Conditions that the caller writes: an expression over the columns of `events`, nothing else.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, ExprSchemable as _};

use super::source::Source;
use super::{FILTER_BYTES_MAX, FILTERS_MAX};
use crate::{QueryError, guard};

/// Checks what can be checked without a session. `what` is the field of the request.
pub(crate) fn check(what: &str, filters: &[String]) -> Result<Vec<String>, QueryError> {
    if filters.len() > FILTERS_MAX {
        return Err(QueryError::invalid(what, format!("{} conditions, limit {FILTERS_MAX}", filters.len())));
    }
    for filter in filters {
        if filter.len() > FILTER_BYTES_MAX {
            return Err(QueryError::invalid(what, format!("a condition of {} bytes, limit {FILTER_BYTES_MAX}", filter.len())));
        }
        guard::condition(filter).map_err(|error| named(what, &error))?;
    }
    Ok(filters.to_vec())
}

/// All of them hold.
pub(crate) fn all_of(what: &str, filters: &[String], source: &Source) -> Result<Option<Expr>, QueryError> {
    let exprs = filters.iter().map(|filter| plan(filter, source).map_err(|error| named(what, &error)));
    Ok(exprs.collect::<Result<Vec<_>, _>>()?.into_iter().reduce(Expr::and))
}

fn plan(filter: &str, source: &Source) -> Result<Expr, QueryError> {
    let parsed = guard::condition(filter)?;
    let of = |error| QueryError::of(error, 0);
    let schema = source.events.schema();
    let expr = source.session.state().create_logical_expr_from_sql_expr(parsed, schema).map_err(of)?;
    let mut folds = false;
    expr.apply(|part| {
        folds |= matches!(part, Expr::AggregateFunction(_) | Expr::WindowFunction(_));
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(of)?;
    if folds {
        return Err(QueryError::Refused { what: "aggregate inside a condition" });
    }
    match expr.get_type(schema).map_err(of)? {
        DataType::Boolean => Ok(expr),
        kind => Err(QueryError::InvalidSql { message: format!("{filter:?} is {kind}, not true or false") }),
    }
}

/// The same error, with the field that it is about.
fn named(what: &str, error: &QueryError) -> QueryError {
    let message = match error {
        QueryError::Refused { what } => format!("{what} is not allowed"),
        QueryError::InvalidSql { message } => message.clone(),
        other => other.to_string(),
    };
    QueryError::invalid(what, message)
}
