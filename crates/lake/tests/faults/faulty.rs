//! A catalog that goes wrong as it is told; every call reaches the real one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use iceberg::table::Table;
use iceberg::{Catalog, Error, ErrorKind, Namespace, NamespaceIdent, Result, TableCommit, TableCreation, TableIdent};
use watershed_lake::{CommitRequest, Lake};

/// What goes wrong with one attempt.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Nothing is applied.
    Refused(ErrorKind),
    /// It is applied, and the answer is an error all the same.
    Applied(ErrorKind),
    /// Another commits between the reading of the table and everything after it.
    OvertakenEarly(CommitRequest),
    /// Another commits right before the update.
    OvertakenLate(CommitRequest),
}

#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn Catalog>,
    faults: Mutex<VecDeque<Fault>>,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn Catalog>) -> Self {
        Self { inner, faults: Mutex::default() }
    }

    /// The next attempts go wrong like this, one after the other.
    pub(crate) fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// Faults that did not come up yet.
    pub(crate) fn planned(&self) -> usize {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn next_if(&self, wanted: impl FnOnce(&mut Fault) -> bool) -> Option<Fault> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).pop_front_if(wanted)
    }

    async fn overtake(&self, request: &CommitRequest) {
        let rival = Lake::open(Arc::clone(&self.inner)).await.expect("opens");
        rival.commit(request).await.expect("the rival commits");
    }
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "planned by the test").with_retryable(kind == ErrorKind::CatalogCommitConflicts)
}

#[async_trait]
impl Catalog for Faulty {
    async fn update_table(&self, commit: TableCommit) -> Result<Table> {
        match self.next_if(|fault| !matches!(fault, Fault::OvertakenEarly(_))) {
            Some(Fault::Refused(kind)) => return Err(error(kind)),
            Some(Fault::Applied(kind)) => return self.inner.update_table(commit).await.and(Err(error(kind))),
            Some(Fault::OvertakenLate(request)) => self.overtake(&request).await,
            Some(Fault::OvertakenEarly(_)) | None => {}
        }
        self.inner.update_table(commit).await
    }
    async fn load_table(&self, table: &TableIdent) -> Result<Table> {
        let loaded = self.inner.load_table(table).await;
        if let Some(Fault::OvertakenEarly(request)) = self.next_if(|fault| matches!(fault, Fault::OvertakenEarly(_))) {
            self.overtake(&request).await;
        }
        loaded
    }
    async fn list_namespaces(&self, parent: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>> {
        self.inner.list_namespaces(parent).await
    }
    async fn create_namespace(&self, name: &NamespaceIdent, properties: HashMap<String, String>) -> Result<Namespace> {
        self.inner.create_namespace(name, properties).await
    }
    async fn get_namespace(&self, name: &NamespaceIdent) -> Result<Namespace> {
        self.inner.get_namespace(name).await
    }
    async fn namespace_exists(&self, name: &NamespaceIdent) -> Result<bool> {
        self.inner.namespace_exists(name).await
    }
    async fn update_namespace(&self, name: &NamespaceIdent, properties: HashMap<String, String>) -> Result<()> {
        self.inner.update_namespace(name, properties).await
    }
    async fn drop_namespace(&self, name: &NamespaceIdent) -> Result<()> {
        self.inner.drop_namespace(name).await
    }
    async fn list_tables(&self, name: &NamespaceIdent) -> Result<Vec<TableIdent>> {
        self.inner.list_tables(name).await
    }
    async fn create_table(&self, name: &NamespaceIdent, creation: TableCreation) -> Result<Table> {
        self.inner.create_table(name, creation).await
    }
    async fn drop_table(&self, table: &TableIdent) -> Result<()> {
        self.inner.drop_table(table).await
    }
    async fn purge_table(&self, table: &TableIdent) -> Result<()> {
        self.inner.purge_table(table).await
    }
    async fn table_exists(&self, table: &TableIdent) -> Result<bool> {
        self.inner.table_exists(table).await
    }
    async fn rename_table(&self, from: &TableIdent, to: &TableIdent) -> Result<()> {
        self.inner.rename_table(from, to).await
    }
    async fn register_table(&self, table: &TableIdent, location: String) -> Result<Table> {
        self.inner.register_table(table, location).await
    }
}
