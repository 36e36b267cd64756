//! The catalog over the SQL.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use iceberg::io::FileIO;
use iceberg::spec::{MetadataLog, TableMetadata, TableMetadataBuilder, TableMetadataRef};
use iceberg::table::Table;
use iceberg::{
    Catalog, Error, ErrorKind, MetadataLocation, Namespace, NamespaceIdent, Result, Runtime, TableCommit, TableCreation,
    TableIdent, TableRequirement, TableUpdate,
};
use rusqlite::params;

use crate::db::{Db, all, execute, first};

/// PyIceberg's mark of a namespace without properties.
const EXISTS: &str = "exists";

/// A catalog in one SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteCatalog {
    db: Db,
    name: String,
    warehouse: String,
    io: FileIO,
    runtime: Runtime,
    /// Of each table the metadata file that was read last: such a file never changes, and it is read for every query.
    newest: Arc<Mutex<HashMap<TableIdent, (String, TableMetadataRef)>>>,
}

impl SqliteCatalog {
    /// Opens or creates the file. `name` is the catalog's name inside it, `warehouse` the folder or address new tables go under.
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the file cannot be opened or is no such catalog.
    pub async fn open(path: &Path, name: &str, warehouse: &str, io: FileIO) -> Result<Self> {
        let db = Db::open(path).await?;
        let warehouse = warehouse.trim_end_matches('/').to_owned();
        Ok(Self { db, name: name.to_owned(), warehouse, io, runtime: Runtime::try_current()?, newest: Arc::default() })
    }

    async fn location_of(&self, table: &TableIdent) -> Result<Option<String>> {
        let (name, ns, table) = self.key(table);
        let sql = "SELECT metadata_location FROM iceberg_tables
                   WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3";
        self.db.read(move |db| first(db, sql, params![name, ns, table], |row| row.get(0))).await
    }

    fn key(&self, table: &TableIdent) -> (String, String, String) {
        (self.name.clone(), table.namespace().join("."), table.name().to_owned())
    }

    async fn metadata(&self, ident: &TableIdent, location: &str) -> Result<TableMetadataRef> {
        let newest = || self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = newest().get(ident).filter(|(at, _)| at == location) {
            return Ok(Arc::clone(known));
        }
        let read = TableMetadataRef::from(TableMetadata::read_from(&self.io, location).await?);
        newest().insert(ident.clone(), (location.to_owned(), Arc::clone(&read)));
        Ok(read)
    }

    fn table(&self, ident: &TableIdent, metadata: impl Into<TableMetadataRef>, location: String) -> Result<Table> {
        Table::builder()
            .identifier(ident.clone())
            .metadata(metadata)
            .metadata_location(location)
            .file_io(self.io.clone())
            .runtime(self.runtime.clone())
            .build()
    }

    async fn insert(&self, ident: &TableIdent, location: String) -> Result<()> {
        let (name, ns, table) = self.key(ident);
        // The columns that both layouts of PyIceberg have; without an `iceberg_type` it is a table to all who read it.
        let sql = "INSERT OR IGNORE INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location)
                   VALUES (?1, ?2, ?3, ?4)";
        let rows = self.db.write(move |db| execute(db, sql, params![name, ns, table, location])).await?;
        if rows == 1 { Ok(()) } else { Err(taken(ident)) }
    }

    /// Applies updates to a table that meets the requirements; what [`Catalog::update_table`] does, for updates that no
    /// transaction of the `iceberg` crate makes (its `TableCommit` cannot be built outside of it).
    ///
    /// # Errors
    /// [`ErrorKind::CatalogCommitConflicts`] when a requirement is not met or another was first: nothing is applied.
    pub async fn commit_updates(
        &self,
        ident: &TableIdent,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    ) -> Result<Table> {
        let current = self.load_table(ident).await?;
        requirements.iter().try_for_each(|requirement| requirement.check(Some(current.metadata())))?;
        let previous = current.metadata_location_result()?.to_owned();
        let builder = current.metadata().clone().into_builder(Some(previous.clone()));
        let built = updates.into_iter().try_fold(builder, |builder, update| update.apply(builder))?.build()?;
        let metadata = built.metadata;
        let next = MetadataLocation::from_str(&previous)?.with_next_version().with_new_metadata(&metadata);
        metadata.write_to(&self.io, &next).await?;
        self.swap(ident, previous, next.to_string()).await?;
        if deletes_metadata(&metadata) {
            self.delete(&built.expired_metadata_logs).await;
        }
        self.table(ident, metadata, next.to_string())
    }

    /// Metadata files that the table's log no longer names. The commit stands, whatever becomes of them.
    async fn delete(&self, expired: &[MetadataLog]) {
        for MetadataLog { metadata_file, .. } in expired {
            if let Err(error) = self.io.delete(metadata_file).await {
                tracing::warn!(file = metadata_file, %error, "an old metadata file stays");
            }
        }
    }

    async fn swap(&self, ident: &TableIdent, previous: String, next: String) -> Result<()> {
        let (name, ns, table) = self.key(ident);
        let sql = "UPDATE iceberg_tables SET metadata_location = ?5, previous_metadata_location = ?4
                   WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3 AND metadata_location = ?4";
        let rows = self.db.write(move |db| execute(db, sql, params![name, ns, table, previous, next])).await?;
        let lost = || Error::new(ErrorKind::CatalogCommitConflicts, format!("{ident} moved on")).with_retryable(true);
        if rows == 1 { Ok(()) } else { Err(lost()) }
    }

    async fn put_namespace(&self, namespace: &NamespaceIdent, properties: HashMap<String, String>) -> Result<()> {
        let (name, ns) = (self.name.clone(), namespace.join("."));
        self.db
            .write(move |db| {
                let sql = "DELETE FROM iceberg_namespace_properties WHERE catalog_name = ?1 AND namespace = ?2";
                execute(db, sql, params![name, ns])?;
                let insert = "INSERT OR REPLACE INTO iceberg_namespace_properties VALUES (?1, ?2, ?3, ?4)";
                execute(db, insert, params![name, ns, EXISTS, "true"])?;
                let mut properties = properties.into_iter();
                properties.try_for_each(|(key, value)| execute(db, insert, params![name, ns, key, value]).map(drop))
            })
            .await
    }

    async fn properties(&self, namespace: &NamespaceIdent) -> Result<Option<HashMap<String, String>>> {
        let (name, ns) = (self.name.clone(), namespace.join("."));
        let sql = "SELECT property_key, property_value FROM iceberg_namespace_properties
                   WHERE catalog_name = ?1 AND namespace = ?2";
        let rows: Vec<(String, String)> =
            self.db.read(move |db| all(db, sql, params![name, ns], |row| Ok((row.get(0)?, row.get(1)?)))).await?;
        Ok((!rows.is_empty()).then(|| rows.into_iter().filter(|(key, _)| key != EXISTS).collect()))
    }
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn list_namespaces(&self, parent: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>> {
        let name = self.name.clone();
        let sql = "SELECT DISTINCT namespace FROM iceberg_namespace_properties WHERE catalog_name = ?1";
        let names: Vec<String> = self.db.read(move |db| all(db, sql, params![name], |row| row.get(0))).await?;
        let start = parent.map_or_else(String::new, |parent| parent.join(".") + ".");
        let below = names.iter().filter_map(|name| Some(start.clone() + name.strip_prefix(&start)?.split('.').next()?));
        let below: BTreeSet<String> = below.collect();
        below.iter().map(|name| NamespaceIdent::from_strs(name.split('.'))).collect()
    }

    async fn create_namespace(&self, namespace: &NamespaceIdent, properties: HashMap<String, String>) -> Result<Namespace> {
        if self.namespace_exists(namespace).await? {
            return Err(Error::new(ErrorKind::NamespaceAlreadyExists, format!("{namespace:?}")));
        }
        self.put_namespace(namespace, properties.clone()).await?;
        Ok(Namespace::with_properties(namespace.clone(), properties))
    }

    async fn get_namespace(&self, namespace: &NamespaceIdent) -> Result<Namespace> {
        let properties = self.properties(namespace).await?.ok_or_else(|| no_namespace(namespace))?;
        Ok(Namespace::with_properties(namespace.clone(), properties))
    }

    async fn namespace_exists(&self, namespace: &NamespaceIdent) -> Result<bool> {
        Ok(self.properties(namespace).await?.is_some())
    }

    async fn update_namespace(&self, namespace: &NamespaceIdent, properties: HashMap<String, String>) -> Result<()> {
        self.get_namespace(namespace).await?;
        self.put_namespace(namespace, properties).await
    }

    async fn drop_namespace(&self, namespace: &NamespaceIdent) -> Result<()> {
        if !self.list_tables(namespace).await?.is_empty() {
            return Err(Error::new(ErrorKind::DataInvalid, format!("{namespace:?} is not empty")));
        }
        let (name, ns) = (self.name.clone(), namespace.join("."));
        let sql = "DELETE FROM iceberg_namespace_properties WHERE catalog_name = ?1 AND namespace = ?2";
        self.db.write(move |db| execute(db, sql, params![name, ns]).map(drop)).await
    }

    async fn list_tables(&self, namespace: &NamespaceIdent) -> Result<Vec<TableIdent>> {
        self.get_namespace(namespace).await?;
        let (name, ns) = (self.name.clone(), namespace.join("."));
        let sql = "SELECT table_name FROM iceberg_tables WHERE catalog_name = ?1 AND table_namespace = ?2 ORDER BY 1";
        let names: Vec<String> = self.db.read(move |db| all(db, sql, params![name, ns], |row| row.get(0))).await?;
        Ok(names.into_iter().map(|name| TableIdent::new(namespace.clone(), name)).collect())
    }

    async fn create_table(&self, namespace: &NamespaceIdent, mut creation: TableCreation) -> Result<Table> {
        self.get_namespace(namespace).await?;
        let ident = TableIdent::new(namespace.clone(), creation.name.clone());
        let default = || format!("{}/{}/{}", self.warehouse, namespace.join("/"), ident.name());
        let location = creation.location.clone().unwrap_or_else(default);
        creation.location = Some(location.clone());
        let metadata = TableMetadataBuilder::from_table_creation(creation)?.build()?.metadata;
        let at = MetadataLocation::new_with_metadata(location, &metadata);
        metadata.write_to(&self.io, &at).await?;
        self.insert(&ident, at.to_string()).await?;
        self.table(&ident, metadata, at.to_string())
    }

    async fn load_table(&self, ident: &TableIdent) -> Result<Table> {
        let location = self.location_of(ident).await?.ok_or_else(|| no_table(ident))?;
        self.table(ident, self.metadata(ident, &location).await?, location)
    }

    async fn drop_table(&self, ident: &TableIdent) -> Result<()> {
        let (name, ns, table) = self.key(ident);
        let sql = "DELETE FROM iceberg_tables WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3";
        let rows = self.db.write(move |db| execute(db, sql, params![name, ns, table])).await?;
        if rows == 1 { Ok(()) } else { Err(no_table(ident)) }
    }

    async fn purge_table(&self, _table: &TableIdent) -> Result<()> {
        Err(Error::new(ErrorKind::FeatureUnsupported, "this catalog deletes no data"))
    }

    async fn table_exists(&self, ident: &TableIdent) -> Result<bool> {
        Ok(self.location_of(ident).await?.is_some())
    }

    async fn rename_table(&self, from: &TableIdent, to: &TableIdent) -> Result<()> {
        self.get_namespace(to.namespace()).await?;
        let ((name, ns, table), (_, to_ns, to_table)) = (self.key(from), self.key(to));
        let sql = "UPDATE OR IGNORE iceberg_tables SET table_namespace = ?4, table_name = ?5
                   WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3";
        let exists = self.table_exists(from).await?;
        let rows = self.db.write(move |db| execute(db, sql, params![name, ns, table, to_ns, to_table])).await?;
        match (exists, rows) {
            (_, 1) => Ok(()),
            (true, _) => Err(taken(to)),
            (false, _) => Err(no_table(from)),
        }
    }

    async fn register_table(&self, ident: &TableIdent, location: String) -> Result<Table> {
        self.get_namespace(ident.namespace()).await?;
        let metadata = TableMetadata::read_from(&self.io, &location).await?;
        self.insert(ident, location.clone()).await?;
        self.table(ident, metadata, location)
    }

    async fn update_table(&self, mut commit: TableCommit) -> Result<Table> {
        let (requirements, updates) = (commit.take_requirements(), commit.take_updates());
        self.commit_updates(commit.identifier(), requirements, updates).await
    }
}

/// `write.metadata.delete-after-commit.enabled`; how many old files stay is `write.metadata.previous-versions-max` (100).
fn deletes_metadata(metadata: &TableMetadata) -> bool {
    let value = metadata.properties().get("write.metadata.delete-after-commit.enabled");
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn no_namespace(namespace: &NamespaceIdent) -> Error {
    Error::new(ErrorKind::NamespaceNotFound, format!("{namespace:?}"))
}

fn no_table(table: &TableIdent) -> Error {
    Error::new(ErrorKind::TableNotFound, table.to_string())
}

fn taken(table: &TableIdent) -> Error {
    Error::new(ErrorKind::TableAlreadyExists, table.to_string())
}
