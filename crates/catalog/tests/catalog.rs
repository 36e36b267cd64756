//! What a catalog promises, against a real file: names, tables, one winner for each base.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Barrier;

use iceberg::io::FileIO;
use iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
use iceberg::table::Table;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::{Catalog, Error, ErrorKind, NamespaceIdent, Result, TableCreation, TableIdent};
use rusqlite::Connection;
use tempfile::TempDir;
use watershed_catalog::SqliteCatalog;

async fn open(dir: &Path) -> SqliteCatalog {
    let warehouse = format!("file://{}/warehouse/", dir.display());
    SqliteCatalog::open(&dir.join("catalog.db"), "test", &warehouse, FileIO::new_with_fs()).await.expect("opens")
}

async fn fresh() -> (TempDir, SqliteCatalog) {
    let dir = tempfile::tempdir().expect("a folder");
    let catalog = open(dir.path()).await;
    (dir, catalog)
}

fn namespace(name: &str) -> NamespaceIdent {
    NamespaceIdent::from_strs(name.split('.')).expect("a name")
}

fn ident(name: &str) -> TableIdent {
    TableIdent::from_strs(name.split('.')).expect("a name")
}

fn pairs(all: &[(&str, &str)]) -> HashMap<String, String> {
    all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A table whose transactions do not try again by themselves.
fn creation(name: &str) -> TableCreation {
    let field = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long));
    let schema = Schema::builder().with_fields([field.into()]).build().expect("a schema");
    let no_retries = pairs(&[("commit.retry.num-retries", "0")]);
    TableCreation::builder().name(name.to_owned()).schema(schema).properties(no_retries).build()
}

async fn set(catalog: &SqliteCatalog, table: &Table, key: &str) -> Result<Table> {
    let transaction = Transaction::new(table);
    let action = transaction.update_table_properties().set(key.to_owned(), "yes".to_owned());
    action.apply(transaction)?.commit(catalog).await
}

async fn has(catalog: &SqliteCatalog, table: &str, key: &str) -> bool {
    let table = catalog.load_table(&ident(table)).await.expect("loads");
    table.metadata().properties().contains_key(key)
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("is refused").kind()
}

#[tokio::test]
async fn a_namespace_has_its_properties_and_one_creation() {
    let (_dir, catalog) = fresh().await;
    let name = namespace("shop");
    assert_eq!(kind(catalog.get_namespace(&name).await), ErrorKind::NamespaceNotFound);
    assert_eq!(kind(catalog.update_namespace(&name, pairs(&[])).await), ErrorKind::NamespaceNotFound);
    catalog.create_namespace(&name, pairs(&[("owner", "ann")])).await.expect("creates");
    assert_eq!(kind(catalog.create_namespace(&name, pairs(&[])).await), ErrorKind::NamespaceAlreadyExists);
    assert_eq!(*catalog.get_namespace(&name).await.expect("is there").properties(), pairs(&[("owner", "ann")]));
    catalog.update_namespace(&name, pairs(&[("team", "blue")])).await.expect("updates");
    assert_eq!(*catalog.get_namespace(&name).await.expect("is there").properties(), pairs(&[("team", "blue")]));
}

#[tokio::test]
async fn namespaces_are_listed_one_level_below_their_parent() {
    let (_dir, catalog) = fresh().await;
    for name in ["shop", "shop.eu", "shop.eu.web", "shop.us", "shopping"] {
        catalog.create_namespace(&namespace(name), pairs(&[])).await.expect("creates");
    }
    assert_eq!(catalog.list_namespaces(None).await.expect("lists"), [namespace("shop"), namespace("shopping")]);
    let below = catalog.list_namespaces(Some(&namespace("shop"))).await.expect("lists");
    assert_eq!(below, [namespace("shop.eu"), namespace("shop.us")]);
    assert_eq!(catalog.list_namespaces(Some(&namespace("shop.us"))).await.expect("lists"), []);
}

#[tokio::test]
async fn only_an_empty_namespace_is_dropped() {
    let (_dir, catalog) = fresh().await;
    let name = namespace("shop");
    assert_eq!(kind(catalog.drop_namespace(&name).await), ErrorKind::NamespaceNotFound);
    catalog.create_namespace(&name, pairs(&[])).await.expect("creates");
    catalog.create_table(&name, creation("orders")).await.expect("creates");
    catalog.drop_namespace(&name).await.expect_err("holds a table");
    catalog.load_table(&ident("shop.orders")).await.expect("is still there");
    catalog.drop_table(&ident("shop.orders")).await.expect("drops");
    catalog.drop_namespace(&name).await.expect("drops");
    assert!(!catalog.namespace_exists(&name).await.expect("answers"));
}

#[tokio::test]
async fn a_table_is_created_once_and_found_until_it_is_dropped() {
    let (_dir, catalog) = fresh().await;
    let (shop, orders) = (namespace("shop"), ident("shop.orders"));
    assert_eq!(kind(catalog.create_table(&shop, creation("orders")).await), ErrorKind::NamespaceNotFound);
    catalog.create_namespace(&shop, pairs(&[])).await.expect("creates");
    let created = catalog.create_table(&shop, creation("orders")).await.expect("creates");
    assert_eq!(kind(catalog.create_table(&shop, creation("orders")).await), ErrorKind::TableAlreadyExists);
    let loaded = catalog.load_table(&orders).await.expect("loads");
    assert_eq!((loaded.metadata(), loaded.metadata_location()), (created.metadata(), created.metadata_location()));
    assert!(loaded.metadata().location().ends_with("/warehouse/shop/orders"), "{}", loaded.metadata().location());
    assert_eq!(catalog.list_tables(&shop).await.expect("lists"), std::slice::from_ref(&orders));
    catalog.drop_table(&orders).await.expect("drops");
    assert!(!catalog.table_exists(&orders).await.expect("answers"));
    assert_eq!(kind(catalog.load_table(&orders).await), ErrorKind::TableNotFound);
    assert_eq!(kind(catalog.drop_table(&orders).await), ErrorKind::TableNotFound);
}

#[tokio::test]
async fn a_table_is_renamed_only_to_a_free_name_of_a_namespace() {
    let (_dir, catalog) = fresh().await;
    let (shop, orders, items) = (namespace("shop"), ident("shop.orders"), ident("shop.items"));
    catalog.create_namespace(&shop, pairs(&[])).await.expect("creates");
    let first = catalog.create_table(&shop, creation("orders")).await.expect("creates");
    catalog.create_table(&shop, creation("items")).await.expect("creates");
    assert_eq!(kind(catalog.rename_table(&orders, &items).await), ErrorKind::TableAlreadyExists);
    assert_eq!(kind(catalog.rename_table(&orders, &ident("nowhere.orders")).await), ErrorKind::NamespaceNotFound);
    assert_eq!(kind(catalog.rename_table(&ident("shop.none"), &ident("shop.x")).await), ErrorKind::TableNotFound);
    assert_eq!(catalog.list_tables(&shop).await.expect("lists"), [items.clone(), orders.clone()]);
    catalog.rename_table(&orders, &ident("shop.old")).await.expect("renames");
    assert_eq!(catalog.list_tables(&shop).await.expect("lists"), [items, ident("shop.old")]);
    let renamed = catalog.load_table(&ident("shop.old")).await.expect("loads");
    assert_eq!(renamed.metadata().uuid(), first.metadata().uuid());
}

#[tokio::test]
async fn a_dropped_table_comes_back_by_its_metadata() {
    let (_dir, catalog) = fresh().await;
    let (shop, orders) = (namespace("shop"), ident("shop.orders"));
    catalog.create_namespace(&shop, pairs(&[])).await.expect("creates");
    let table = catalog.create_table(&shop, creation("orders")).await.expect("creates");
    let location = table.metadata_location().expect("has one").to_owned();
    assert_eq!(kind(catalog.register_table(&orders, location.clone()).await), ErrorKind::TableAlreadyExists);
    catalog.drop_table(&orders).await.expect("drops");
    let back = catalog.register_table(&orders, location).await.expect("registers");
    assert_eq!(back.metadata(), table.metadata());
    assert_eq!(catalog.load_table(&orders).await.expect("loads").metadata(), table.metadata());
}

#[tokio::test]
async fn a_reopened_file_shows_the_same() {
    let (dir, catalog) = fresh().await;
    let (shop, orders) = (namespace("shop"), ident("shop.orders"));
    catalog.create_namespace(&shop, pairs(&[("owner", "ann")])).await.expect("creates");
    let table = catalog.create_table(&shop, creation("orders")).await.expect("creates");
    let table = set(&catalog, &table, "changed").await.expect("commits");
    drop(catalog);
    let catalog = open(dir.path()).await;
    assert_eq!(*catalog.get_namespace(&shop).await.expect("is there").properties(), pairs(&[("owner", "ann")]));
    assert_eq!(catalog.list_tables(&shop).await.expect("lists"), std::slice::from_ref(&orders));
    let loaded = catalog.load_table(&orders).await.expect("loads");
    assert_eq!((loaded.metadata(), loaded.metadata_location()), (table.metadata(), table.metadata_location()));
}

/// Both read the table and write their metadata while the file is locked for writers: both start from one base.
async fn race(dir: &Path, one: &SqliteCatalog, other: &SqliteCatalog, table: &Table) -> [Result<Table>; 2] {
    let blocker = Connection::open(dir.join("catalog.db")).expect("opens");
    blocker.execute_batch("BEGIN IMMEDIATE").expect("locks");
    let metadata = dir.join("warehouse/shop/orders/metadata");
    let release = async {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(8);
        while std::fs::read_dir(&metadata).expect("a folder").count() < 3 {
            assert!(std::time::Instant::now() < end, "both never wrote their metadata");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        blocker.execute_batch("ROLLBACK").expect("unlocks");
    };
    let (one, other, ()) = tokio::join!(set(one, table, "one"), set(other, table, "other"), release);
    [one, other]
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_updates_from_one_base_one_wins_and_the_other_may_come_again() {
    let (dir, one) = fresh().await;
    let other = open(dir.path()).await;
    one.create_namespace(&namespace("shop"), pairs(&[])).await.expect("creates");
    let table = one.create_table(&namespace("shop"), creation("orders")).await.expect("creates");
    let results = race(dir.path(), &one, &other, &table).await;
    let (lost, won) = if results[0].is_err() { ("one", "other") } else { ("other", "one") };
    let errors: Vec<Error> = results.into_iter().filter_map(Result::err).collect();
    assert_eq!(errors.iter().map(Error::kind).collect::<Vec<_>>(), [ErrorKind::CatalogCommitConflicts]);
    assert!(errors[0].retryable(), "{}", errors[0]);
    assert!(has(&one, "shop.orders", won).await);
    assert!(!has(&one, "shop.orders", lost).await, "the loser's change is not in the table");
    set(&other, &table, lost).await.expect("comes again");
    assert!(has(&one, "shop.orders", won).await && has(&one, "shop.orders", lost).await);
}

/// SQLite answers "busy" at once to whoever begins the file's log while another one does.
#[test]
fn a_new_file_may_be_opened_by_many_at_once() {
    for _ in 0..100 {
        let dir = TempDir::new().expect("a folder");
        let start = Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                    start.wait();
                    runtime.block_on(open(dir.path()));
                });
            }
        });
    }
}

/// Metadata files that are there.
fn metadata_files(dir: &Path) -> usize {
    let folder = dir.join("warehouse/shop/orders/metadata");
    let names = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".metadata.json")).count()
}

#[tokio::test]
async fn old_metadata_goes_where_the_table_says_so() {
    for (deletes, left) in [("true", 3), ("false", 7)] {
        let (dir, catalog) = fresh().await;
        catalog.create_namespace(&namespace("shop"), pairs(&[])).await.expect("creates");
        let wanted = pairs(&[
            ("commit.retry.num-retries", "0"),
            ("write.metadata.delete-after-commit.enabled", deletes),
            ("write.metadata.previous-versions-max", "2"),
        ]);
        let creation = TableCreation { properties: wanted, ..creation("orders") };
        let mut table = catalog.create_table(&namespace("shop"), creation).await.expect("creates");
        for n in 0..6 {
            table = set(&catalog, &table, &format!("n{n}")).await.expect("commits");
        }
        assert_eq!(metadata_files(dir.path()), left, "{deletes}: the newest and as many before it as are kept");
        assert!(has(&catalog, "shop.orders", "n5").await);
        for log in table.metadata().metadata_log() {
            assert!(table.file_io().exists(&log.metadata_file).await.expect("looks"), "what the log names is there");
        }
    }
}
