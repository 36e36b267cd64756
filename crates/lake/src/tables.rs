//! The lake: one table that all tenants share, and one for each tenant that has its own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use backon::Retryable;
use iceberg::{Catalog, NamespaceIdent, TableIdent};
use watershed_schema::TenantId;

use crate::fence::Fenced;
use crate::own::{TableNameTooLong, table_name};
use crate::partitioning::Partitioning;
use crate::storage::Files;
use crate::table::EventTable;
use crate::turns::Turn;
use crate::{LakeError, Pinned, Updates, Watermark, waits};

const NAMESPACE: &str = "watershed";
const SHARED: &str = "events";

/// The tables `watershed.events` and `watershed.events_…`.
#[derive(Clone, Debug)]
pub struct Lake {
    pub(crate) shared: EventTable,
    /// Whose rows go to a table of their own from now on.
    pub(crate) listed: BTreeSet<TenantId>,
    /// How tables are partitioned that are not there yet.
    by: Partitioning,
    pub(crate) fenced: Arc<Mutex<Fenced>>,
}

impl Lake {
    /// Opens all tables; creates namespace, shared table and columns where they are missing. A table of ours stays
    /// partitioned as it is, a new one is by hour.
    ///
    /// # Errors
    /// [`LakeError::Foreign`] for a table that is not like ours, else when the catalog or the storage fails.
    pub async fn open(catalog: Arc<dyn Catalog>) -> Result<Self, LakeError> {
        Self::open_by(catalog, Partitioning::default()).await
    }

    /// Like [`Lake::open`]; a table that is not there yet is partitioned like this. Those that are there:
    /// [`Lake::partition_by`].
    ///
    /// # Errors
    /// Like [`Lake::open`].
    pub async fn open_by(catalog: Arc<dyn Catalog>, by: Partitioning) -> Result<Self, LakeError> {
        let ident = TableIdent::new(NamespaceIdent::new(NAMESPACE.to_owned()), SHARED.to_owned());
        let shared = EventTable { catalog, ident, tenant: None, files: Files::default(), updates: None };
        shared.open(by).await?;
        let lake = Self { shared, listed: BTreeSet::new(), by, fenced: Arc::default() };
        for table in lake.tables().await? {
            table.evolve().await?;
        }
        Ok(lake)
    }

    /// The same lake; rows of these tenants go to a table of their own from now on, which is made where it is missing.
    /// Those of others go to the shared one, also where a table of their own is left from before.
    ///
    /// # Errors
    /// Like [`Lake::open`]; [`LakeError::TableName`].
    pub async fn with_own_tables(self, tenants: impl IntoIterator<Item = TenantId>) -> Result<Self, LakeError> {
        let listed: BTreeSet<TenantId> = tenants.into_iter().collect();
        for tenant in &listed {
            let name = table_name(tenant)?;
            let own = self.shared.beside(&name, tenant.clone());
            own.open(self.by).await?;
            (|| self.shared.name_own(&own)).retry(waits::commit()).when(LakeError::is_retryable).await?;
        }
        Ok(Self { listed, ..self })
    }

    /// The same lake for readers of files in buckets that are reached like this ([`crate::Pinned::place`]).
    #[must_use]
    pub fn with_files(self, files: Files) -> Self {
        Self { shared: EventTable { files, ..self.shared }, ..self }
    }

    /// The same lake with the way into its catalog that compaction takes ([`Lake::compact`]).
    #[must_use]
    pub fn with_updates(self, updates: Arc<dyn Updates>) -> Self {
        Self { shared: EventTable { updates: Some(updates), ..self.shared }, ..self }
    }

    /// Waits until nobody else holds many rows in memory to write files of them: asked for before the rows of a run are read.
    /// Merges ask for it by themselves.
    pub async fn turn(&self) -> Turn {
        self.shared.files.turns().next().await
    }

    /// All tables that there are, the shared one first.
    ///
    /// # Errors
    /// When the catalog or the storage fails.
    pub async fn tables(&self) -> Result<Vec<EventTable>, LakeError> {
        let mut tables = vec![self.shared.clone()];
        for own in self.shared.own_tables(&self.shared.load().await?)? {
            if own.catalog.table_exists(&own.ident).await? {
                tables.push(own);
            } else {
                tracing::warn!(table = own.name(), "a tenant's table is gone from the catalog: its rows cannot be read");
            }
        }
        Ok(tables)
    }

    /// Up to where all shards are in the lake. Only the shared table says so: it is the last of each commit.
    ///
    /// # Errors
    /// When the catalog or the storage fails.
    pub async fn watermark(&self) -> Result<Watermark, LakeError> {
        self.shared.watermark().await
    }

    /// Pins the newest snapshot of the shared table.
    ///
    /// # Errors
    /// When the catalog or the storage fails.
    pub async fn pin(&self) -> Result<Pinned, LakeError> {
        self.shared.pin().await
    }
}

impl From<TableNameTooLong> for LakeError {
    fn from(error: TableNameTooLong) -> Self {
        Self::TableName(error)
    }
}
