//! Events of one kind for each of another, counted in one pass.

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, when};
use datafusion::prelude::{DataFrame, lit};
use watershed_schema::proto;

use super::filter;
use super::range::Range;
use super::run::Analysis;
use super::source::Source;
use super::step::{Step, any_name};
use crate::QueryError;

#[derive(Debug)]
pub(crate) struct Ratio {
    a: Step,
    b: Step,
    filters: Vec<String>,
    pub(crate) range: Range,
}

impl Ratio {
    pub(crate) fn of(request: &proto::RatioRequest, now_us: i64) -> Result<Self, QueryError> {
        Ok(Self {
            a: Step::of("a", request.a.as_ref())?,
            b: Step::of("b", request.b.as_ref())?,
            filters: filter::check("filters", &request.filters)?,
            range: Range::of(&request.since, &request.from, &request.to, now_us)?,
        })
    }
}

impl Analysis for Ratio {
    type Fold = (u64, u64);

    fn plan(&self, source: &Source) -> Result<DataFrame, QueryError> {
        let of = |error| QueryError::of(error, 0);
        let counted = |step: &Step, name| Ok(count(when(step.condition(source)?, lit(1_i64)).end().map_err(of)?).alias(name));
        let filters = filter::all_of("filters", &self.filters, source)?;
        let conditions = self.range.condition().into_iter().chain(filters).fold(any_name([&self.a, &self.b]), Expr::and);
        let aggregates = [counted(&self.a, "_a"), counted(&self.b, "_b")].into_iter().collect::<Result<Vec<_>, QueryError>>()?;
        let aggregates = aggregates.into_iter().chain(source.tallies()).collect();
        source.events.clone().filter(conditions).map_err(of)?.aggregate(Vec::new(), aggregates).map_err(of)
    }

    fn take(&self, (a, b): &mut (u64, u64), rows: &RecordBatch) -> Result<(), QueryError> {
        let total = |name| {
            let counts = rows.column_by_name(name).map(|counts| counts.as_primitive::<Int64Type>().values().iter());
            counts.map_or(0, |counts| counts.map(|count| count.unsigned_abs()).sum::<u64>())
        };
        *a += total("_a");
        *b += total("_b");
        Ok(())
    }

    fn bytes(&self, _: &(u64, u64)) -> usize {
        0
    }
}
