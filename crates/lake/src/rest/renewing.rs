//! A REST catalog whose tokens expire: the client asks for one and keeps it for ever, so an answer of 401 drops it.
//!
//! Only what a lake asks of its catalog.

use std::collections::HashMap;

use async_trait::async_trait;
use iceberg::table::Table;
use iceberg::{Catalog, Error, ErrorKind, Namespace, NamespaceIdent, Result, TableCommit, TableCreation, TableIdent};
use iceberg_catalog_rest::RestCatalog;

#[derive(Debug)]
pub(super) struct Renewing {
    pub(super) inner: RestCatalog,
    /// Whether another token can be had.
    pub(super) renews: bool,
}

impl Renewing {
    /// Whether the token was refused; if so, the next request fetches another.
    async fn renewed<T>(&self, result: &Result<T>) -> bool {
        let refused = |error: &Error| error.kind() == ErrorKind::Unexpected && error.to_string().contains("401 Unauthorized");
        self.renews && result.as_ref().err().is_some_and(refused) && self.inner.invalidate_token().await.is_ok()
    }
}

fn refused<T>() -> Result<T> {
    Err(Error::new(ErrorKind::FeatureUnsupported, "not asked of the catalog of a lake"))
}

#[async_trait]
impl Catalog for Renewing {
    async fn load_table(&self, table: &TableIdent) -> Result<Table> {
        let loaded = self.inner.load_table(table).await;
        if self.renewed(&loaded).await { self.inner.load_table(table).await } else { loaded }
    }
    async fn table_exists(&self, table: &TableIdent) -> Result<bool> {
        let exists = self.inner.table_exists(table).await;
        if self.renewed(&exists).await { self.inner.table_exists(table).await } else { exists }
    }
    async fn create_namespace(&self, name: &NamespaceIdent, properties: HashMap<String, String>) -> Result<Namespace> {
        let created = self.inner.create_namespace(name, properties.clone()).await;
        if self.renewed(&created).await { self.inner.create_namespace(name, properties).await } else { created }
    }
    /// What is created or committed can be given away once; who asked comes again.
    async fn create_table(&self, namespace: &NamespaceIdent, creation: TableCreation) -> Result<Table> {
        let created = self.inner.create_table(namespace, creation).await;
        self.renewed(&created).await;
        created
    }
    async fn update_table(&self, commit: TableCommit) -> Result<Table> {
        let updated = self.inner.update_table(commit).await;
        self.renewed(&updated).await;
        updated
    }
    async fn list_namespaces(&self, _parent: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>> {
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
    async fn drop_table(&self, _table: &TableIdent) -> Result<()> {
        refused()
    }
    async fn purge_table(&self, _table: &TableIdent) -> Result<()> {
        refused()
    }
    async fn rename_table(&self, _from: &TableIdent, _to: &TableIdent) -> Result<()> {
        refused()
    }
    async fn register_table(&self, _table: &TableIdent, _location: String) -> Result<Table> {
        refused()
    }
}
