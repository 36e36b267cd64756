//! One table of events, shared or a tenant's own, and the numbers kept in its properties.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use backon::Retryable;
use iceberg::table::Table;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::{Catalog, ErrorKind, TableCreation, TableIdent};
use watershed_schema::{Epoch, Seq, ShardId, TenantId};

use crate::partitioning::Partitioning;
use crate::pinned_catalog::PinnedCatalog;
use crate::storage::Files;
use crate::{LakeError, Updates, schema, waits};

/// For each shard the first sequence number that is not in the lake.
pub type Watermark = BTreeMap<ShardId, Seq>;

pub(crate) const WATERMARK: &str = "watershed.watermark";
pub(crate) const EPOCH: &str = "watershed.epoch";
pub(crate) const COMMIT_ID: &str = "watershed.commit_id";
/// Whose table it is; the shared one does not say.
const TENANT: &str = "watershed.tenant";
/// When an own table was made, milliseconds since 1970: before, nothing can have been in it.
const MADE: &str = "watershed.made_ms";
/// What a table says to all who work with it.
pub(crate) const SAYS: [(&str, &str); 3] = [
    ("commit.retry.num-retries", "0"),
    // A metadata file that no catalog needs any longer goes with the commit that makes it so.
    ("write.metadata.delete-after-commit.enabled", "true"),
    // Spark's reader of whole vectors stops at byte stream split and at lengths in differences (Iceberg 1.10); its other one does not.
    ("read.parquet.vectorization.enabled", "false"),
];

/// A table of events in the catalog.
#[derive(Clone, Debug)]
pub struct EventTable {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) ident: TableIdent,
    /// Whose it is; none for the shared one.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) files: Files,
    pub(crate) updates: Option<Arc<dyn Updates>>,
}

impl EventTable {
    /// Its name in the catalog, without the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        self.ident.name()
    }

    /// Makes namespace, table and columns where they are missing. A table of ours stays partitioned as it is.
    pub(crate) async fn open(&self, by: Partitioning) -> Result<(), LakeError> {
        (|| self.create(by)).retry(waits::commit()).when(LakeError::is_retryable).await?;
        self.evolve().await
    }

    async fn create(&self, by: Partitioning) -> Result<(), LakeError> {
        if self.catalog.table_exists(&self.ident).await? {
            return Ok(());
        }
        let namespace = self.ident.namespace();
        unless(ErrorKind::NamespaceAlreadyExists, self.catalog.create_namespace(namespace, HashMap::new()).await)?;
        unless(ErrorKind::TableAlreadyExists, self.catalog.create_table(namespace, self.creation(by)?).await)
    }

    fn creation(&self, by: Partitioning) -> iceberg::Result<TableCreation> {
        let now = chrono::Utc::now().timestamp_millis().to_string();
        let own = self.tenant.iter().flat_map(|tenant| [(TENANT, tenant.as_str()), (MADE, now.as_str())]);
        let properties = SAYS.into_iter().chain(own);
        Ok(TableCreation::builder()
            .name(self.name().to_owned())
            .schema(schema::events()?)
            .partition_spec(schema::partitions(by)?)
            .sort_order(schema::sort_order())
            .properties(properties.map(|(key, value)| (key.to_owned(), value.to_owned())))
            .build())
    }

    /// The newest watermark.
    ///
    /// # Errors
    /// When the catalog or the storage fails.
    pub async fn watermark(&self) -> Result<Watermark, LakeError> {
        watermark_of(&self.load().await?)
    }

    /// The table as it is now.
    pub(crate) async fn load(&self) -> Result<Table, LakeError> {
        let load = || async { Ok(self.catalog.load_table(&self.ident).await?) };
        let table = load.retry(waits::read()).when(LakeError::is_passing).await?;
        let theirs = table.metadata().properties().get(TENANT).map(String::as_str);
        if theirs == self.tenant.as_ref().map(TenantId::as_str) {
            return Ok(table);
        }
        let (name, ours) = (self.name(), self.tenant.as_ref().map_or("nobody's alone", TenantId::as_str));
        Err(LakeError::Foreign(format!("{name}: its property {TENANT} is {theirs:?}, it should be {ours}")))
    }

    /// Sets properties of the table as it was read, or nothing.
    pub(crate) async fn set(&self, table: Table, properties: &[(&str, &str)]) -> Result<(), LakeError> {
        let transaction = Transaction::new(&table);
        let update = transaction.update_table_properties();
        let update = properties.iter().fold(update, |update, (key, value)| update.set((*key).to_owned(), (*value).to_owned()));
        let transaction = update.apply(transaction)?;
        transaction.commit(&PinnedCatalog { inner: Arc::clone(&self.catalog), table }).await?;
        Ok(())
    }
}

/// Another node may create it at the same time: that is as good.
fn unless<T>(fine: ErrorKind, result: iceberg::Result<T>) -> Result<(), LakeError> {
    match result {
        Err(error) if error.kind() != fine => Err(error.into()),
        _ => Ok(()),
    }
}

pub(crate) fn watermark_of(table: &Table) -> Result<Watermark, LakeError> {
    let text = table.metadata().properties().get(WATERMARK);
    text.map_or_else(|| Ok(Watermark::new()), |text| Ok(serde_json::from_str(text)?))
}

pub(crate) fn made_ms(table: &Table) -> Option<i64> {
    table.metadata().properties().get(MADE)?.parse().ok()
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
