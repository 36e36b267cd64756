//! The one table, and the numbers kept in its properties.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use backon::Retryable;
use iceberg::table::Table;
use iceberg::{Catalog, ErrorKind, NamespaceIdent, TableCreation, TableIdent};
use watershed_schema::{Epoch, Seq, ShardId};

use crate::storage::Files;
use crate::{LakeError, Updates, schema, waits};

/// For each shard the first sequence number that is not in the lake.
pub type Watermark = BTreeMap<ShardId, Seq>;

pub(crate) const WATERMARK: &str = "watershed.watermark";
pub(crate) const EPOCH: &str = "watershed.epoch";
pub(crate) const COMMIT_ID: &str = "watershed.commit_id";
/// A metadata file that no catalog needs any longer goes with the commit that makes it so.
pub(crate) const DELETE_METADATA: (&str, &str) = ("write.metadata.delete-after-commit.enabled", "true");

/// The table `watershed.events`.
#[derive(Clone, Debug)]
pub struct Lake {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) ident: TableIdent,
    pub(crate) files: Files,
    pub(crate) updates: Option<Arc<dyn Updates>>,
}

impl Lake {
    /// Opens the table; creates namespace, table and columns where they are missing.
    ///
    /// # Errors
    /// [`LakeError::Foreign`] for a table that is not like ours, else when the catalog or the storage fails.
    pub async fn open(catalog: Arc<dyn Catalog>) -> Result<Self, LakeError> {
        let namespace = NamespaceIdent::new("watershed".to_owned());
        let ident = TableIdent::new(namespace.clone(), "events".to_owned());
        let lake = Self { catalog, ident, files: Files::default(), updates: None };
        (|| lake.create(&namespace)).retry(waits::commit()).when(LakeError::is_retryable).await?;
        lake.evolve().await?;
        Ok(lake)
    }

    /// The same lake for readers of files in buckets that are reached like this ([`crate::Pinned::place`]).
    #[must_use]
    pub fn with_files(self, files: Files) -> Self {
        Self { files, ..self }
    }

    /// The same lake with the way into its catalog that compaction takes ([`Lake::compact`]).
    #[must_use]
    pub fn with_updates(self, updates: Arc<dyn Updates>) -> Self {
        Self { updates: Some(updates), ..self }
    }

    async fn create(&self, namespace: &NamespaceIdent) -> Result<(), LakeError> {
        if self.catalog.table_exists(&self.ident).await? {
            return Ok(());
        }
        unless(ErrorKind::NamespaceAlreadyExists, self.catalog.create_namespace(namespace, HashMap::new()).await)?;
        unless(ErrorKind::TableAlreadyExists, self.catalog.create_table(namespace, creation()?).await)
    }

    /// The newest watermark.
    ///
    /// # Errors
    /// When the catalog or the storage fails.
    pub async fn watermark(&self) -> Result<Watermark, LakeError> {
        watermark_of(&self.load().await?)
    }

    pub(crate) async fn load(&self) -> Result<Table, LakeError> {
        let load = || async { Ok(self.catalog.load_table(&self.ident).await?) };
        load.retry(waits::read()).when(LakeError::is_passing).await
    }
}

/// Another node may create it at the same time: that is as good.
fn unless<T>(fine: ErrorKind, result: iceberg::Result<T>) -> Result<(), LakeError> {
    match result {
        Err(error) if error.kind() != fine => Err(error.into()),
        _ => Ok(()),
    }
}

fn creation() -> iceberg::Result<TableCreation> {
    let properties = [("commit.retry.num-retries", "0"), DELETE_METADATA].map(|(key, value)| (key.to_owned(), value.to_owned()));
    Ok(TableCreation::builder()
        .name("events".to_owned())
        .schema(schema::events()?)
        .partition_spec(schema::partitions()?)
        .sort_order(schema::sort_order())
        .properties(properties)
        .build())
}

pub(crate) fn watermark_of(table: &Table) -> Result<Watermark, LakeError> {
    let text = table.metadata().properties().get(WATERMARK);
    text.map_or_else(|| Ok(Watermark::new()), |text| Ok(serde_json::from_str(text)?))
}

pub(crate) fn epoch_of(table: &Table) -> Result<Epoch, LakeError> {
    let Some(text) = table.metadata().properties().get(EPOCH) else { return Ok(Epoch(0)) };
    text.parse().map(Epoch).map_err(|_no_number: std::num::ParseIntError| LakeError::Property(EPOCH))
}

/// Only the newest owner changes the table: its archiver and its upkeep.
pub(crate) fn fence(table: &Table, ours: Epoch) -> Result<(), LakeError> {
    let stored = epoch_of(table)?;
    if ours < stored { Err(LakeError::Fenced { ours, stored }) } else { Ok(()) }
}
