//! Events of a name, with conditions.

use datafusion::logical_expr::Expr;
use datafusion::prelude::{col, lit};
use watershed_schema::{Column, proto};

use super::source::Source;
use super::{NAME_BYTES_MAX, filter};
use crate::QueryError;

#[derive(Clone, Debug)]
pub(crate) struct Step {
    what: String,
    pub(crate) event: String,
    filters: Vec<String>,
}

impl Step {
    /// `what` is the field of the request.
    pub(crate) fn of(what: &str, step: Option<&proto::EventStep>) -> Result<Self, QueryError> {
        let step = step.ok_or_else(|| QueryError::invalid(what, "is missing"))?;
        if step.event.is_empty() {
            return Err(QueryError::invalid(format!("{what}.event"), "is missing"));
        }
        check_name(&format!("{what}.event"), &step.event)?;
        let filters = filter::check(&format!("{what}.filters"), &step.filters)?;
        Ok(Self { what: what.to_owned(), event: step.event.clone(), filters })
    }

    /// Whether an event is one of these.
    pub(crate) fn condition(&self, source: &Source) -> Result<Expr, QueryError> {
        let named = col(Column::EventName.name()).eq(lit(&self.event));
        let filters = filter::all_of(&format!("{}.filters", self.what), &self.filters, source)?;
        Ok(filters.into_iter().fold(named, Expr::and))
    }
}

pub(crate) fn check_name(what: &str, name: &str) -> Result<(), QueryError> {
    if name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(QueryError::invalid(what, format!("is {} bytes long, limit {NAME_BYTES_MAX}", name.len())))
}

/// Events that have one of the names, whatever else is asked of them.
pub(crate) fn any_name<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Expr {
    let mut names: Vec<&str> = steps.into_iter().map(|step| step.event.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    col(Column::EventName.name()).in_list(names.into_iter().map(lit).collect(), false)
}
