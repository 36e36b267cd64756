//! A table that an older build made, with fewer columns, is opened by this one; PyIceberg reads both kinds of files.

#[path = "support/servers.rs"]
mod servers;
#[path = "support/lake.rs"]
mod support;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use iceberg::spec::{Schema, UnboundPartitionSpec};
use iceberg::{Catalog, NamespaceIdent, TableCreation, TableIdent};
use serde_json::json;
use watershed_lake::{Lake, LakeError, schema};
use watershed_schema::{Column, Epoch, ShardId};

use servers::pyiceberg;
use support::{request, rows, rows_in};

/// A property that somebody has changed.
const CHANGED: &str = "read.parquet.vectorization.enabled";

/// Makes the table with these fields.
async fn made(catalog: &dyn Catalog, fields: Vec<iceberg::spec::NestedFieldRef>, partitions: Option<UnboundPartitionSpec>) {
    let namespace = NamespaceIdent::new("watershed".to_owned());
    catalog.create_namespace(&namespace, HashMap::new()).await.expect("makes");
    let creation = TableCreation::builder()
        .name("events".to_owned())
        .schema(Schema::builder().with_fields(fields).build().expect("a schema"))
        .properties(HashMap::from([(CHANGED.to_owned(), "true".to_owned())]))
        .sort_order(schema::sort_order());
    let creation = match partitions {
        Some(partitions) => creation.partition_spec(partitions).build(),
        None => creation.build(),
    };
    catalog.create_table(&namespace, creation).await.expect("makes");
}

/// The first `columns` of the registry: it grows at its end.
fn fields(columns: usize) -> Vec<iceberg::spec::NestedFieldRef> {
    schema::events().expect("a schema").as_struct().fields()[..columns].to_vec()
}

fn partitions() -> Option<UnboundPartitionSpec> {
    Some(schema::partitions(watershed_lake::Partitioning::Hour).expect("a spec"))
}

async fn commit(lake: &Lake, range: (u64, u64)) {
    let ours = request(lake, &rows(ShardId(3), range, "log"), Epoch(1)).await;
    lake.commit(&ours).await.expect("commits");
}

fn seen_by_pyiceberg(dir: &Path) -> serde_json::Value {
    let uri = format!("sqlite:///{}/catalog.db", dir.display());
    pyiceberg(json!({"type": "sql", "uri": uri, "warehouse": format!("file://{}/warehouse", dir.display())}), None)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_table_gets_the_columns_it_lacks() {
    let dir = tempfile::tempdir().expect("a folder");
    let catalog = support::catalog(dir.path()).await;
    made(catalog.as_ref(), fields(Column::ALL.len() - 4), partitions()).await;
    // Two nodes of the newer build at once.
    let (one, other) = tokio::join!(Lake::open(Arc::clone(&catalog)), Lake::open(Arc::clone(&catalog)));
    let lake = one.expect("opens");
    other.expect("opens");
    commit(&lake, (1, 6)).await;
    let seen = seen_by_pyiceberg(dir.path());
    for column in Column::ALL {
        assert_eq!(seen["fields"][column.name()], json!(column.id()), "{}", column.name());
    }
    assert_eq!((&seen["rows"], &seen["places"], &seen["placed"]), (&json!(5), &json!(5), &json!(5)), "{seen}");
    let table = catalog.load_table(&TableIdent::from_strs(["watershed", "events"]).expect("a name")).await.expect("loads");
    let said = |key: &str| table.metadata().properties().get(key).map(String::as_str);
    assert_eq!((said("write.metadata.delete-after-commit.enabled"), said(CHANGED)), (Some("true"), Some("true")));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_before_stay_readable() {
    let dir = tempfile::tempdir().expect("a folder");
    let catalog = support::catalog(dir.path()).await;
    let older = Lake::open(Arc::clone(&catalog)).await.expect("opens");
    commit(&older, (1, 6)).await;
    // The table of a build that has one column more: ours leaves it empty.
    let ident = TableIdent::from_strs(["watershed", "events"]).expect("a name");
    let table = catalog.load_table(&ident).await.expect("loads");
    let transaction = iceberg::transaction::Transaction::new(&table);
    let kind = iceberg::spec::Type::Primitive(iceberg::spec::PrimitiveType::String);
    let update = transaction.update_schema().add_column(iceberg::transaction::AddColumn::optional("of_tomorrow", kind));
    let transaction = iceberg::transaction::ApplyTransactionAction::apply(update, transaction).expect("applies");
    transaction.commit(catalog.as_ref()).await.expect("commits");
    let lake = Lake::open(catalog).await.expect("opens");
    commit(&lake, (6, 9)).await;
    assert_eq!(rows_in(&lake).await, 8);
    let seen = seen_by_pyiceberg(dir.path());
    assert_eq!((&seen["rows"], &seen["ids"], &seen["places"]), (&json!(8), &json!(8), &json!(8)), "{seen}");
    assert_eq!(seen["fields"]["of_tomorrow"], json!(Column::ALL.len() + 1));
}

async fn refusal(fields: Vec<iceberg::spec::NestedFieldRef>, partitions: Option<UnboundPartitionSpec>) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let catalog = support::catalog(dir.path()).await;
    made(catalog.as_ref(), fields, partitions).await;
    let refused = Lake::open(catalog).await.expect_err("does not fit");
    assert!(matches!(refused, LakeError::Foreign(_)), "{refused}");
    refused.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_does_not_fit_is_refused_by_column() {
    let mut hole = fields(Column::ALL.len());
    hole.remove(99);
    let refused = refusal(hole, partitions()).await;
    let column = Column::ALL[99].name();
    assert!(refused.contains(column) && refused.contains("field id"), "{refused}");
    assert!(refusal(fields(Column::ALL.len()), None).await.contains("partitions"));
}
