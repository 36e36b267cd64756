//! The file: PyIceberg's is ours too, everybody else's is refused and left as it was.

use std::collections::HashMap;
use std::path::Path;

use iceberg::io::FileIO;
use iceberg::spec::Schema;
use iceberg::{Catalog, ErrorKind, NamespaceIdent, Result, TableCreation};
use rusqlite::Connection;
use watershed_catalog::SqliteCatalog;

async fn open(path: &Path) -> Result<SqliteCatalog> {
    let warehouse = format!("file://{}/warehouse", path.parent().expect("has a folder").display());
    SqliteCatalog::open(path, "test", &warehouse, FileIO::new_with_fs()).await
}

async fn expect_refused_untouched(path: &Path) {
    let before = std::fs::read(path).expect("reads");
    open(path).await.expect_err("is refused");
    assert_eq!(std::fs::read(path).expect("reads"), before, "not a byte changes");
    let files = std::fs::read_dir(path.parent().expect("has a folder")).expect("a folder").count();
    assert_eq!(files, 1, "nothing is left beside it");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_untouched() {
    for garbage in [b"hello".to_vec(), vec![0xa5; 10_000]] {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("catalog.db");
        std::fs::write(&path, garbage).expect("writes");
        expect_refused_untouched(&path).await;
    }
}

#[tokio::test]
async fn somebody_elses_database_is_refused_and_untouched() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("catalog.db");
    let theirs = Connection::open(&path).expect("opens");
    theirs.execute_batch("CREATE TABLE accounts (id INTEGER, balance INTEGER)").expect("creates");
    drop(theirs);
    expect_refused_untouched(&path).await;
    assert_eq!(open(&path).await.expect_err("is refused").kind(), ErrorKind::DataInvalid);
}

/// What `SqlCatalog` of PyIceberg before 0.12 creates (layout `v0`); later ones have the column `iceberg_type`, as ours.
const V0_OF_PYICEBERG: &str = "
CREATE TABLE iceberg_namespace_properties (
    catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL,
    property_key VARCHAR(255) NOT NULL, property_value VARCHAR(1000) NOT NULL,
    PRIMARY KEY (catalog_name, namespace, property_key));
CREATE TABLE iceberg_tables (
    catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL,
    metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000),
    PRIMARY KEY (catalog_name, table_namespace, table_name));";

#[tokio::test]
async fn a_catalog_that_an_older_pyiceberg_made_takes_our_tables() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("catalog.db");
    Connection::open(&path).expect("opens").execute_batch(V0_OF_PYICEBERG).expect("creates");
    let catalog = open(&path).await.expect("opens");
    let shop = NamespaceIdent::new("shop".to_owned());
    catalog.create_namespace(&shop, HashMap::new()).await.expect("creates");
    let schema = Schema::builder().build().expect("a schema");
    let creation = TableCreation::builder().name("orders".to_owned()).schema(schema).build();
    let table = catalog.create_table(&shop, creation).await.expect("creates");
    assert_eq!(catalog.load_table(table.identifier()).await.expect("loads").metadata(), table.metadata());
}
