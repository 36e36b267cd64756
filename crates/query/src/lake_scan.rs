//! The lake side of a scan: Iceberg plans the files, DataFusion's Parquet source reads them.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, Operator, utils::conjunction};
use datafusion::physical_expr::expressions::{BinaryExpr, Column as Place, Literal};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use object_store::{ObjectMeta, ObjectStore};
use watershed_lake::{FileFilter, FileToRead, Pinned};
use watershed_schema::arrow::schema_of;
use watershed_schema::{Column, TenantId};

use crate::lake_files::{LakeFiles, Location};
use crate::predicates::Predicates;
use crate::table::TIER;
use crate::{Progress, QueryError};

/// Whose rows are in a file.
#[derive(Clone, Copy)]
enum Whose {
    /// The tenant's alone: reading and comparing who they belong to is a fifth of what counting them costs.
    Mine,
    /// Perhaps others', too.
    Mixed,
}

/// A scan of each of these snapshots, all in one; `None` when no file of any can hold a wanted row.
pub(crate) async fn plan<'a>(
    tables: &'a [Pinned],
    scan: impl Fn(&'a Pinned) -> Scan<'a>,
    (state, filters): (&dyn Session, &[Expr]),
) -> Result<Option<Arc<dyn ExecutionPlan>>, QueryError> {
    let mut parts = Vec::new();
    for pinned in tables {
        parts.extend(scan(pinned).plan(state, filters).await?);
    }
    union(parts)
}

fn union(mut parts: Vec<Arc<dyn ExecutionPlan>>) -> Result<Option<Arc<dyn ExecutionPlan>>, QueryError> {
    if parts.len() < 2 {
        return Ok(parts.pop());
    }
    UnionExec::try_new(parts).map(Some).map_err(|error| QueryError::of(error, 0))
}

/// A scan of a pinned snapshot.
pub(crate) struct Scan<'a> {
    pub(crate) pinned: &'a Pinned,
    pub(crate) tenant: &'a TenantId,
    pub(crate) predicates: &'a Predicates,
    pub(crate) schema: &'a SchemaRef,
    pub(crate) progress: &'a Progress,
}

impl Scan<'_> {
    /// `None` when no file can hold a wanted row.
    async fn plan(&self, state: &dyn Session, filters: &[Expr]) -> Result<Option<Arc<dyn ExecutionPlan>>, QueryError> {
        let files = self.pinned.files(&self.file_filter()).await?;
        self.plan_files(state, files, filters)
    }

    /// The same of these files alone.
    pub(crate) fn plan_files(
        &self,
        state: &dyn Session,
        files: Vec<FileToRead>,
        filters: &[Expr],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>, QueryError> {
        if files.is_empty() {
            return Ok(None);
        }
        let store = self.store(state, &files[0].path)?;
        let (mine, mixed): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| file.owner.as_deref() == Some(self.tenant.as_str()));
        let mut parts = Vec::new();
        for (files, whose) in [(mine, Whose::Mine), (mixed, Whose::Mixed)] {
            let files = files.into_iter().map(|file| self.partitioned(file)).collect::<Result<Vec<_>, QueryError>>()?;
            if !files.is_empty() {
                let planned = self.part(state, (store.clone(), files), filters, whose);
                parts.push(planned.map_err(|error| QueryError::of(error, 0))?);
            }
        }
        union(parts)
    }

    fn part(
        &self,
        state: &dyn Session,
        files: (Store, Vec<PartitionedFile>),
        filters: &[Expr],
        whose: Whose,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self.read(state, files, filters, whose)?;
        self.project(match whose {
            Whose::Mine => rows,
            Whose::Mixed => self.of_tenant(rows)?,
        })
    }

    /// Makes the store of this file known to the query; all files of a table are in one.
    fn store(&self, state: &dyn Session, path: &str) -> Result<Store, QueryError> {
        let place = self.pinned.place(path)?;
        let url = match place.bucket {
            Some(bucket) => ObjectStoreUrl::parse(format!("s3://{bucket}")).map_err(|error| QueryError::of(error, 0))?,
            None => ObjectStoreUrl::local_filesystem(),
        };
        state.runtime_env().register_object_store(url.as_ref(), Arc::clone(&place.store));
        Ok((url, place.store))
    }

    fn partitioned(&self, file: FileToRead) -> Result<PartitionedFile, QueryError> {
        let location = self.pinned.place(&file.path)?.key;
        let meta = ObjectMeta { location, last_modified: Default::default(), size: file.size, e_tag: None, version: None };
        let mut partitioned = PartitionedFile::from(meta);
        self.progress.plan_file(file.rows);
        partitioned.extensions.insert(Location::new(file.path, file.rows));
        Ok(partitioned)
    }

    fn file_filter(&self) -> FileFilter {
        let Predicates { from_us, to_us, event_types, ids, .. } = self.predicates;
        let event_types = event_types.iter().map(|kind| kind.as_str().to_owned()).collect();
        let tenant = Some(self.tenant.as_str().to_owned());
        FileFilter { from_us: *from_us, to_us: *to_us, event_types, tenant, ids: ids.clone() }
    }

    /// Wanted columns, and `ns` where it has to be looked at.
    fn read(
        &self,
        state: &dyn Session,
        ((url, store), files): (Store, Vec<PartitionedFile>),
        filters: &[Expr],
        whose: Whose,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = schema_of(Column::ALL);
        let opened = LakeFiles { pinned: self.pinned.clone(), store, progress: self.progress.clone() };
        // Files without the ids are left out already; of those with several row groups, these filters leave out some.
        let mut source = ParquetSource::new(Arc::clone(&all))
            .with_parquet_file_reader_factory(Arc::new(opened))
            .with_pushdown_filters(true)
            .with_enable_page_index(true)
            .with_bloom_filter_on_read(true);
        if let Some(predicate) = physical(state, &all, filters)? {
            source = source.with_predicate(predicate);
        }
        let groups = grouped(files, state.config().target_partitions());
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(Some(self.indices(&all, whose)?))?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn indices(&self, all: &Schema, whose: Whose) -> Result<Vec<usize>> {
        let wanted = self.schema.fields().iter().map(|field| field.name().as_str()).filter(|name| *name != TIER);
        let mut indices = wanted.map(|name| all.index_of(name)).collect::<Result<Vec<_>, _>>()?;
        let ns = all.index_of(Column::Ns.name())?;
        if matches!(whose, Whose::Mixed) && !indices.contains(&ns) {
            indices.push(ns);
        }
        Ok(indices)
    }

    /// The tenant's rows alone, whatever the SQL says.
    fn of_tenant(&self, rows: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let ns = Place::new_with_schema(Column::Ns.name(), &rows.schema())?;
        let tenant = Literal::new(ScalarValue::Utf8(Some(self.tenant.as_str().to_owned())));
        let mine = Arc::new(BinaryExpr::new(Arc::new(ns), Operator::Eq, Arc::new(tenant)));
        Ok(Arc::new(FilterExec::try_new(mine, rows)?))
    }

    fn project(&self, rows: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = rows.schema();
        let column = |field: &Arc<arrow::datatypes::Field>| -> Result<(Arc<dyn PhysicalExpr>, String)> {
            let expr: Arc<dyn PhysicalExpr> = if field.name() == TIER {
                Arc::new(Literal::new(ScalarValue::Utf8(Some("lake".to_owned()))))
            } else {
                Arc::new(Place::new_with_schema(field.name(), &input)?)
            };
            Ok((expr, field.name().clone()))
        };
        let columns = self.schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(ProjectionExec::try_new(columns, rows)?))
    }
}

/// Filters that Parquet can check: those that do not ask for `_tier`.
fn physical(state: &dyn Session, all: &SchemaRef, filters: &[Expr]) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let known = |filter: &&Expr| !filter.column_refs().iter().any(|column| column.name == TIER);
    let Some(all_of) = conjunction(filters.iter().filter(known).cloned()) else { return Ok(None) };
    let schema = DFSchema::try_from(all.as_ref().clone())?;
    let unqualified = datafusion::common::tree_node::TreeNode::transform(all_of, |expr| {
        Ok(match expr {
            Expr::Column(column) => datafusion::common::tree_node::Transformed::yes(Expr::Column(
                datafusion::common::Column::new_unqualified(column.name),
            )),
            other => datafusion::common::tree_node::Transformed::no(other),
        })
    })?;
    state.create_physical_expr(unqualified.data, &schema).map(Some)
}

type Store = (ObjectStoreUrl, Arc<dyn ObjectStore>);

fn grouped(files: Vec<PartitionedFile>, groups: usize) -> Vec<FileGroup> {
    let mut out = vec![Vec::new(); groups.clamp(1, files.len())];
    let count = out.len();
    for (index, file) in files.into_iter().enumerate() {
        out[index % count].push(file);
    }
    out.into_iter().map(FileGroup::new).collect()
}
