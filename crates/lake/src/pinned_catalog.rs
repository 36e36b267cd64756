//! A catalog that keeps showing the table that was examined, so that its compare-and-swap guards the examination.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::table::Table;
use iceberg::{Catalog, Error, ErrorKind, Namespace, NamespaceIdent, Result, TableCommit, TableCreation, TableIdent};

#[derive(Debug)]
pub(crate) struct PinnedCatalog {
    pub(crate) inner: Arc<dyn Catalog>,
    pub(crate) table: Table,
}

/// `chaos` takes the pin out on purpose, to see its checker find it.
fn is_unpinned() -> bool {
    fail::fail_point!("lake::unpinned", |_| true);
    false
}

fn refused<T>() -> Result<T> {
    Err(Error::new(ErrorKind::FeatureUnsupported, "a pinned catalog only commits"))
}

#[async_trait]
impl Catalog for PinnedCatalog {
    async fn load_table(&self, table: &TableIdent) -> Result<Table> {
        if is_unpinned() {
            return self.inner.load_table(table).await;
        }
        Ok(self.table.clone())
    }
    async fn update_table(&self, commit: TableCommit) -> Result<Table> {
        self.inner.update_table(commit).await
    }
    async fn list_namespaces(&self, _parent: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>> {
        refused()
    }
    async fn create_namespace(&self, _name: &NamespaceIdent, _: HashMap<String, String>) -> Result<Namespace> {
        refused()
    }
    async fn get_namespace(&self, _namespace: &NamespaceIdent) -> Result<Namespace> {
        refused()
    }
    async fn namespace_exists(&self, _namespace: &NamespaceIdent) -> Result<bool> {
        refused()
    }
    async fn update_namespace(&self, _name: &NamespaceIdent, _: HashMap<String, String>) -> Result<()> {
        refused()
    }
    async fn drop_namespace(&self, _namespace: &NamespaceIdent) -> Result<()> {
        refused()
    }
    async fn list_tables(&self, _namespace: &NamespaceIdent) -> Result<Vec<TableIdent>> {
        refused()
    }
    async fn create_table(&self, _namespace: &NamespaceIdent, _creation: TableCreation) -> Result<Table> {
        refused()
    }
    async fn drop_table(&self, _table: &TableIdent) -> Result<()> {
        refused()
    }
    async fn purge_table(&self, _table: &TableIdent) -> Result<()> {
        refused()
    }
    async fn table_exists(&self, _table: &TableIdent) -> Result<bool> {
        refused()
    }
    async fn rename_table(&self, _from: &TableIdent, _to: &TableIdent) -> Result<()> {
        refused()
    }
    async fn register_table(&self, _table: &TableIdent, _location: String) -> Result<Table> {
        refused()
    }
}
