//! What Debezium's engine really sent, from PostgreSQL and with its connector of MySQL, with and without schemas.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use std::path::Path;

use support::{Texts, hold, row, rows};
use watershed_sources::Context;

const PATH: &str = "/v1/cdc";
/// When the last sample was recorded.
const RECORDED_AT_US: i64 = 1_795_670_000_000_000;
const FORMS: [&str; 2] = ["", "_with_schema"];

fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/debezium/{name}.json"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const CREATED: &str = r#"{"id":3,"total":"12345678901234567890.50","note":"c"}"#;
const UPDATED: &str = r#"{"id":3,"total":"12345678901234567890.50","note":"cc"}"#;
const READ: &str = r#"{"id":1,"total":"1.10","note":"ünï"}"#;

#[test]
fn both_connectors_say_the_same_of_a_row_with_and_without_a_schema() {
    let kinds = [
        ("create", "INSERT", "3", None, Some(CREATED)),
        ("update", "UPDATE", "3", Some(CREATED), Some(UPDATED)),
        ("delete", "DELETE", "3", Some(UPDATED), None),
        ("read", "READ", "1", None, Some(READ)),
    ];
    for (connector, system, database) in [("postgres", "postgresql", "public"), ("mysql", "mysql", "store")] {
        for ((kind, operation, key, before, after), form) in kinds.iter().flat_map(|kind| FORMS.map(|form| (*kind, form))) {
            let (name, event, resource) =
                (format!("{connector}_{kind}{form}"), format!("orders.{operation}"), format!("acme/orders/{key}"));
            let expected = [
                ("event_name", Some(event.as_str())),
                ("db_system", Some(system)),
                ("db_name", Some(database)),
                ("db_table", Some("orders")),
                ("db_operation", Some(operation)),
                ("db_row_id", Some(key)),
                ("resource_id", Some(&resource)),
                ("db_before", before),
                ("db_after", after),
            ];
            hold(PATH, &[(&name, sample(&name), &expected)]);
        }
    }
}

#[test]
fn place_transaction_and_time_are_the_databases() {
    let rules = [
        ("postgres_read", "00000000/01526FA0", Some("726"), "1795669611102487"),
        ("postgres_create", "00000000/01526FC8", Some("727"), "1795669612406683"),
        ("postgres_update", "00000000/01527088", Some("728"), "1795669612469582"),
        ("postgres_delete", "00000000/01527130", Some("729"), "1795669612504413"),
        ("mysql_read", "mysql-bin.000001:00000000000000000902", None, "1795669633000000"),
        ("mysql_create", "mysql-bin.000001:00000000000000001080", None, "1795669634000000"),
        ("mysql_update", "mysql-bin.000001:00000000000000001326", None, "1795669634000000"),
        ("mysql_delete", "mysql-bin.000001:00000000000000001583", None, "1795669634000000"),
    ];
    for (name, place, transaction, time) in rules {
        let row = row_at_recording(&sample(name));
        let told = |column| row.get(column).map(String::as_str);
        assert_eq!((told("db_lsn"), told("transaction_id"), told("timestamp")), (Some(place), transaction, Some(time)), "{name}");
    }
}

/// The samples are younger than the clock of the other tests; times that are yet to come are not believed.
fn row_at_recording(request: &str) -> Texts {
    let context = Context { received_at_us: RECORDED_AT_US, ..support::context() };
    let taken = support::endpoint(PATH).transform(request.as_bytes(), &context).unwrap();
    let batch = taken.batch.unwrap();
    let mut rows = batch.rows().map(|row| support::texts(&row));
    rows.next().unwrap()
}

#[test]
fn tombstones_and_changes_of_schemas_are_no_changes_of_rows() {
    for (name, form) in
        ["postgres_tombstone", "mysql_tombstone", "mysql_schema_change"].iter().flat_map(|name| FORMS.map(|form| (name, form)))
    {
        let request = sample(&format!("{name}{form}"));
        assert!(rows(PATH, &request).is_empty(), "{name}{form}");
        let value = serde_json::from_str::<serde_json::Value>(&request).unwrap()["value"].to_string();
        assert!(rows(PATH, &value).is_empty(), "{name}{form}, without its key");
    }
}

#[test]
fn a_schema_around_it_changes_nothing() {
    for name in ["postgres_create", "mysql_create", "postgres_delete", "mysql_delete"] {
        let bare = sample(name);
        let mut record: serde_json::Value = serde_json::from_str(&bare).unwrap();
        let wrapper: serde_json::Value = serde_json::from_str(&sample(&format!("{name}_with_schema"))).unwrap();
        for part in ["key", "value"] {
            let payload = record[part].take();
            record[part] = wrapper[part].clone();
            record[part]["payload"] = payload;
        }
        assert_eq!(identity(&bare), identity(&record.to_string()), "{name}");
    }
}

/// What recognises a change that is delivered again.
fn identity(request: &str) -> Option<String> {
    let mut row: Texts = row(PATH, request);
    row.remove("id")
}
