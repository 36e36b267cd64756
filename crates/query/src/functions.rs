//! SQL functions of our own, in every session of the engine.

mod arena;
mod cohort_retention;
mod exact_sum;
mod json_get;
pub(crate) mod percentile;
mod single;
mod time_bucket;
mod window_funnel;
mod words;

use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionContext;

pub(crate) use cohort_retention::{CohortRetention, CohortRule};
pub(crate) use window_funnel::WindowFunnel;

/// Text of a value inside a JSON text.
pub(crate) static JSON_GET: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(json_get::text()));
/// A number inside a JSON text; null for everything that is none.
pub(crate) static JSON_NUMBER: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(json_get::number()));
/// Beginning of the calendar period that a time lies in.
pub(crate) static TIME_BUCKET: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(time_bucket::function()));
/// Sum of doubles that does not depend on their order.
pub(crate) static EXACT_SUM: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| Arc::new(exact_sum::function()));

static WINDOW_FUNNEL: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| Arc::new(WindowFunnel::for_sql().into()));
static COHORT_RETENTION: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| Arc::new(CohortRetention::for_sql().into()));

/// Makes them known to a session.
pub(crate) fn register(session: &SessionContext) {
    for function in [&JSON_GET, &JSON_NUMBER, &TIME_BUCKET] {
        session.register_udf(function.as_ref().clone());
    }
    for function in [&EXACT_SUM, &WINDOW_FUNNEL, &COHORT_RETENTION] {
        session.register_udaf(function.as_ref().clone());
    }
}
