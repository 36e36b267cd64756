//! `events_at('2026-01-01T00:00:00Z')` or `events_at(snapshot id)`: the lake as it was, without the hot tier.
//!
//! A table function because the generic dialect does not parse `FOR SYSTEM_TIME AS OF`. The guard lets no other one through.

use std::sync::Arc;

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use watershed_lake::{Moment, View};
use watershed_schema::TenantId;

use crate::HotTier;
use crate::table::Events;

/// Name of the function.
pub(crate) const EVENTS_AT: &str = "events_at";

const NANOS_OF_MILLI: i64 = 1_000_000;

/// The function, for one tenant.
#[derive(Debug)]
pub(crate) struct EventsAt {
    pub(crate) tenant: TenantId,
    pub(crate) hot: Arc<dyn HotTier>,
    /// The newest snapshots, which know the older ones.
    pub(crate) pinned: Option<View>,
}

impl TableFunctionImpl for EventsAt {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let moment = moment(args.exprs())?;
        let Some(newest) = &self.pinned else { return plan_err!("{EVENTS_AT}: this node has no lake") };
        let pinned = newest.at(moment).map_err(|error| DataFusionError::Plan(format!("{EVENTS_AT}: {error}")))?;
        Ok(Arc::new(Events::past(&self.tenant, &self.hot, pinned)))
    }
}

fn moment(arguments: &[Expr]) -> Result<Moment> {
    match arguments {
        [Expr::Literal(ScalarValue::Int64(Some(id)), _)] => Ok(Moment::Snapshot(*id)),
        [Expr::Literal(ScalarValue::Utf8(Some(text)), _)] => match string_to_timestamp_nanos(text) {
            Ok(at_ns) => Ok(Moment::Time { at_ms: at_ns.div_euclid(NANOS_OF_MILLI) }),
            Err(error) => plan_err!("{EVENTS_AT}: '{text}' is no time: {error}"),
        },
        _ => plan_err!("{EVENTS_AT} takes one time as text, as '2026-01-01T00:00:00Z', or the number of a snapshot"),
    }
}
