//! Conditions that the caller writes: an expression over the columns of `events`, nothing else.

use datafusion::logical_expr::Expr;

use super::source::Source;
use super::{FILTER_BYTES_MAX, FILTERS_MAX};
use crate::{QueryError, condition, guard};

/// Checks what can be checked without a session. `what` is the field of the request.
pub(crate) fn check(what: &str, filters: &[String]) -> Result<Vec<String>, QueryError> {
    if filters.len() > FILTERS_MAX {
        return Err(QueryError::invalid(what, format!("{} conditions, limit {FILTERS_MAX}", filters.len())));
    }
    for filter in filters {
        if filter.len() > FILTER_BYTES_MAX {
            return Err(QueryError::invalid(what, format!("a condition of {} bytes, limit {FILTER_BYTES_MAX}", filter.len())));
        }
        guard::condition(filter).map_err(|error| named(what, condition::without_statements(error)))?;
    }
    Ok(filters.to_vec())
}

/// All of them hold.
pub(crate) fn all_of(what: &str, filters: &[String], source: &Source) -> Result<Option<Expr>, QueryError> {
    let schema = source.events.schema();
    let plan = |filter: &String| condition::planned(filter, &source.session, schema).map_err(|error| named(what, error));
    let exprs = filters.iter().map(plan);
    Ok(exprs.collect::<Result<Vec<_>, _>>()?.into_iter().reduce(Expr::and))
}

/// The same error, with the field that it is about.
fn named(what: &str, error: QueryError) -> QueryError {
    let message = match error {
        QueryError::InvalidSql { message } => message,
        other => other.to_string(),
    };
    QueryError::invalid(what, message)
}
