//! The table `events` of one tenant at one moment: the lake below the watermark, the hot tier from there on.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use watershed_lake::{Lake, View};
use watershed_schema::arrow::schema_of;
use watershed_schema::{Column, Seq, TenantId};

use crate::predicates::Predicates;
use crate::remote::Slice;
use crate::{HotRange, HotTier, Progress, QueryError, hot_scan, lake_scan};

/// Name of the pseudo-column that says where a row was read: `hot` or `lake`.
pub(crate) const TIER: &str = "_tier";

/// What a query sees.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) tenant: TenantId,
    pub(crate) hot: Arc<dyn HotTier>,
    pub(crate) ranges: Vec<HotRange>,
    /// Where the hot tier stood when it was asked.
    pub(crate) tails: Vec<HotRange>,
    pub(crate) pinned: Option<View>,
    /// What was read of it.
    pub(crate) progress: Progress,
    /// Whether other nodes are to aggregate what they have; else it is read in pages as if it were here.
    pub(crate) is_split: bool,
    /// Only as much as this takes.
    pub(crate) slice: Option<Arc<Slice>>,
    schema: SchemaRef,
}

impl Events {
    fn plan_hot(&self, predicates: &Predicates, schema: &SchemaRef) -> Result<Arc<dyn ExecutionPlan>> {
        let (hot, tenant, progress, slice) = (&self.hot, &self.tenant, &self.progress, self.slice.as_ref());
        let scan = hot_scan::Scan { hot, tenant, predicates, schema, progress, slice };
        let is_here = |range: &HotRange| !self.is_split || self.hot.is_here(range.shard);
        let (here, there): (Vec<_>, Vec<_>) = self.ranges.iter().partition(|range| is_here(range));
        if there.is_empty() {
            return scan.plan(&here);
        }
        UnionExec::try_new(vec![scan.plan(&here)?, scan.plan_remote(&there)])
    }

    /// Hot tails first, the snapshots after: what is archived in between is in both and cut off by the watermark.
    /// With a `trace`, only the shards that may hold it.
    pub(crate) async fn pin(
        tenant: &TenantId,
        trace: Option<&str>,
        hot: &Arc<dyn HotTier>,
        lake: Option<&Lake>,
    ) -> Result<Self, QueryError> {
        let tails = hot.tails(tenant, trace).await?;
        let pinned = match lake {
            Some(lake) => Some(lake.view(tenant).await?),
            None => None,
        };
        let watermark = |range: &HotRange| pinned.as_ref().and_then(|pinned| pinned.watermark.get(&range.shard).copied());
        let from = |range: HotRange| HotRange { trimmed: watermark(&range).unwrap_or(Seq::FIRST), ..range };
        let ranges = tails.iter().copied().map(from).filter(|range| range.trimmed < range.to).collect();
        Ok(Self {
            tenant: tenant.clone(),
            hot: Arc::clone(hot),
            ranges,
            tails,
            pinned,
            progress: Progress::default(),
            is_split: false,
            slice: None,
            schema: full_schema(),
        })
    }

    /// The beginning of a range of the hot tier, and nothing of the lake.
    pub(crate) fn slice(tenant: &TenantId, hot: &Arc<dyn HotTier>, range: HotRange, slice: Arc<Slice>) -> Self {
        let (tenant, hot, ranges) = (tenant.clone(), Arc::clone(hot), vec![range]);
        let (tails, progress, slice) = (Vec::new(), Progress::default(), Some(slice));
        Self { tenant, hot, ranges, tails, pinned: None, progress, is_split: false, slice, schema: full_schema() }
    }

    /// The lake of one moment, and nothing of the hot tier.
    pub(crate) fn past(tenant: &TenantId, hot: &Arc<dyn HotTier>, pinned: View) -> Self {
        let (ranges, tails, progress) = (Vec::new(), Vec::new(), Progress::default());
        let (tenant, hot) = (tenant.clone(), Arc::clone(hot));
        Self { tenant, hot, ranges, tails, pinned: Some(pinned), progress, is_split: false, slice: None, schema: full_schema() }
    }
}

/// Every column, and `_tier`.
fn full_schema() -> SchemaRef {
    let columns = schema_of(Column::ALL);
    let tier = Arc::new(Field::new(TIER, DataType::Utf8, false));
    Arc::new(Schema::new(columns.fields().iter().cloned().chain([tier]).collect::<Vec<_>>()))
}

#[async_trait]
impl TableProvider for Events {
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
        let wanted: Vec<usize> = projection.map_or_else(|| (0..self.schema.fields().len()).collect(), Clone::clone);
        let schema = Arc::new(self.schema.project(&wanted)?);
        let predicates = Predicates::of(filters);
        let (tenant, progress) = (&self.tenant, &self.progress);
        let hot = self.plan_hot(&predicates, &schema)?;
        let Some(pinned) = &self.pinned else { return Ok(hot) };
        let scan = |pinned| lake_scan::Scan { pinned, tenant, predicates: &predicates, schema: &schema, progress };
        match lake_scan::plan(&pinned.tables, scan, (state, filters))
            .await
            .map_err(|error| DataFusionError::External(Box::new(error)))?
        {
            Some(lake) => UnionExec::try_new(vec![lake, hot]),
            None => Ok(hot),
        }
    }
}
