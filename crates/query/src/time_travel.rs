//! `events_at('2026-01-01T00:00:00Z')` or `events_at(snapshot id)`: the lake as it was, without the hot tier.
//!
//! A table function because the generic dialect does not parse `FOR SYSTEM_TIME AS OF`. The guard lets no other one through.

use std::sync::Arc;

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use watershed_lake::{Moment, Pinned};
use watershed_schema::TenantId;

use crate::lake_scan;
use crate::predicates::Predicates;
use crate::table::full_schema;

/// Name of the function.
pub(crate) const EVENTS_AT: &str = "events_at";

const NANOS_OF_MILLI: i64 = 1_000_000;

/// The function, for one tenant.
#[derive(Debug)]
pub(crate) struct EventsAt {
    pub(crate) tenant: TenantId,
    /// The newest snapshot, which knows the older ones.
    pub(crate) pinned: Option<Pinned>,
}

impl TableFunctionImpl for EventsAt {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let moment = moment(args.exprs())?;
        let Some(newest) = &self.pinned else { return plan_err!("{EVENTS_AT}: this node has no lake") };
        let pinned = newest.at(moment).map_err(|error| DataFusionError::Plan(format!("{EVENTS_AT}: {error}")))?;
        Ok(Arc::new(Past { tenant: self.tenant.clone(), pinned, schema: full_schema() }))
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

/// The lake of one snapshot.
#[derive(Debug)]
struct Past {
    tenant: TenantId,
    pinned: Pinned,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for Past {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(wanted) => Arc::new(self.schema.project(wanted)?),
            None => Arc::clone(&self.schema),
        };
        let predicates = Predicates::of(filters);
        let scan = lake_scan::Scan { pinned: &self.pinned, tenant: &self.tenant, predicates: &predicates, schema: &schema };
        let plan = scan.plan(state, filters).await.map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(plan.unwrap_or_else(|| Arc::new(EmptyExec::new(schema))))
    }
}
