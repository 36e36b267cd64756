//! Changes of databases in three shapes: every rule of the mapping, and what is refused.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use std::collections::BTreeSet;

use support::{hold, reject, row, rows};

const PATH: &str = "/v1/cdc";

fn native(more: &str) -> String {
    format!(r#"{{"operation":"UPDATE","table":"orders"{more}}}"#)
}

#[test]
fn every_rule_of_the_plain_shape() {
    let rules = [
        ("event_type: const cdc", "", "event_type", Some("cdc")),
        ("event_name: table.operation", "", "event_name", Some("orders.UPDATE")),
        ("event_source: const cdc", "", "event_source", Some("cdc")),
        ("ns: the tenant", r#","ns":"other""#, "ns", Some("acme")),
        ("transaction_id: transactionId", r#","transactionId":"t""#, "transaction_id", Some("t")),
        ("resource_type: table", "", "resource_type", Some("orders")),
        ("resource_id: ns/table/key", r#","primaryKey":"7""#, "resource_id", Some("acme/orders/7")),
        (
            "resource_id: under a table that is called like the tenant",
            r#","table":"acme","primaryKey":7"#,
            "resource_id",
            Some("acme/acme/7"),
        ),
        ("resource_id: none without a key", "", "resource_id", None),
        ("timestamp: timestamp", r#","timestamp":5"#, "timestamp", Some("5000")),
        ("timestamp: else arrival", "", "timestamp", Some("1790000000000000")),
        ("db_system: dbSystem", r#","dbSystem":"mysql""#, "db_system", Some("mysql")),
        ("db_system: else sqlite", "", "db_system", Some("sqlite")),
        ("db_name: schema", r#","schema":"shop""#, "db_name", Some("shop")),
        ("db_table: table", "", "db_table", Some("orders")),
        ("db_operation: operation", "", "db_operation", Some("UPDATE")),
        ("db_row_id: a text as it is", r#","primaryKey":"a/b""#, "db_row_id", Some("a/b")),
        ("db_row_id: a number as its text, 0 kept", r#","primaryKey":0"#, "db_row_id", Some("0")),
        ("db_row_id: composite, names sorted", r#","primaryKey":{"b":"x","a":1.10}"#, "db_row_id", Some(r#"{"a":1.10,"b":"x"}"#)),
        ("db_lsn: a number that sorts as text, 0 kept", r#","lsn":0"#, "db_lsn", Some("00000000000000000000")),
        ("db_lsn: PostgreSQL's form", r#","lsn":"0/16B3748""#, "db_lsn", Some("00000000/016B3748")),
        ("db_version: version, 0 kept", r#","version":0"#, "db_version", Some("0")),
        (
            "db_before: exact numbers",
            r#","before":{"n":1.10,"m":9007199254740993}"#,
            "db_before",
            Some(r#"{"n":1.10,"m":9007199254740993}"#),
        ),
        ("db_after: exact numbers", r#","after":{"n":-0.0}"#, "db_after", Some(r#"{"n":-0.0}"#)),
        ("data: after", r#","before":{"n":1},"after":{"n":2}"#, "data", Some(r#"{"n":2}"#)),
        ("data: else before", r#","before":{"n":1}"#, "data", Some(r#"{"n":1}"#)),
        ("data: else null", "", "data", None),
        ("trace_id: traceId", r#","traceId":"T""#, "trace_id", Some("t")),
        ("session_id: sessionId", r#","sessionId":"s""#, "session_id", Some("s")),
        ("what has no column: context", r#","user":"x""#, "context", Some(r#"{"user":"x"}"#)),
    ];
    for (rule, more, column, text) in rules {
        hold(PATH, &[(rule, native(more), &[(column, text)])]);
    }
    for word in ["INSERT", "UPDATE", "DELETE", "READ", "TRUNCATE"] {
        let row = row(PATH, &format!(r#"{{"operation":"{}","table":"t"}}"#, word.to_lowercase()));
        assert_eq!((row["db_operation"].as_str(), row["event_name"].as_str()), (word, format!("t.{word}").as_str()));
    }
}

/// As an engine sent it, see `debezium_samples.rs`.
const MYSQL_UPDATE: &str = include_str!("debezium/mysql_update_with_schema.json");

#[test]
fn debezium_of_other_servers_and_versions() {
    let value = |source: &str, more: &str| {
        format!(
            r#"{{"op":"c","after":{{"id":7}},"ts_ms":9,"source":{{"connector":"mysql","db":"shop","table":"t"{source}}}{more}}}"#
        )
    };
    let rules = [
        ("db_row_id: without a key the row's id", value("", ""), "db_row_id", Some("7")),
        ("timestamp: ts_ms 0 is a time", value(r#","ts_ms":0"#, ""), "timestamp", Some("0")),
        ("timestamp: the finest unit", value(r#","ts_ms":1,"ts_us":1002,"ts_ns":1002003"#, ""), "timestamp", Some("1002")),
        ("timestamp: else the engine's", value("", ""), "timestamp", Some("9000")),
        ("transaction_id: gtid", value(r#","gtid":"24bc7850-2c16:5""#, ""), "transaction_id", Some("24bc7850-2c16:5")),
        (
            "transaction_id: what is told first",
            value(r#","gtid":"g""#, r#","transaction":{"id":"t"}"#),
            "transaction_id",
            Some("t"),
        ),
        ("db_lsn: none without a place", value(r#","file":"mysql-bin.000003""#, ""), "db_lsn", None),
    ];
    for (rule, request, column, text) in rules {
        hold(PATH, &[(rule, request, &[(column, text)])]);
    }
}

fn envelope(op: &str, more: &str) -> String {
    format!(r#"{{"op":"{op}","source":{{"connector":"sqlite","db":"main","table":"t"{more}}},"after":{{"a":1}}}}"#)
}

#[test]
fn debezium_operations_keys_and_ties() {
    for (op, word) in [("c", "INSERT"), ("u", "UPDATE"), ("d", "DELETE"), ("r", "READ"), ("t", "TRUNCATE")] {
        assert_eq!(row(PATH, &envelope(op, ""))["db_operation"], word);
    }
    let keyed = |key: &str| row(PATH, &format!(r#"{{"key":{key},"value":{}}}"#, envelope("c", ""))).remove("db_row_id").unwrap();
    assert_eq!(keyed(r#"{"id":5}"#), "5");
    assert_eq!(keyed(r#"{"schema":{},"payload":{"b":2,"a":1}}"#), r#"{"a":1,"b":2}"#);
    let traced = r#"{"op":"c","source":{"table":"t"},
        "after":{"tracingspancontext":"traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n"}}"#;
    assert_eq!(row(PATH, traced)["trace_id"], "0af7651916cd43dd8448eb211c80319c");
}

/// As the engine of Debezium 3.6.3 sent them.
const HEARTBEAT: &str = r#"{"key":{"serverName":"shop"},"value":{"ts_ms":1795656343930}}"#;
const BEGIN: &str = r#"{"key":{"id":"741:22242944"},
    "value":{"status":"BEGIN","id":"741:22242944","event_count":null,"data_collections":null,"ts_ms":1795656346478}}"#;
const END: &str = r#"{"schema":{},"payload":{"status":"END","id":"741:22243200","event_count":1,
    "data_collections":[{"data_collection":"public.visits","event_count":1}],"ts_ms":1795656346478}}"#;

#[test]
fn tombstones_and_marks_of_transactions_are_no_changes() {
    for nothing in [
        "null",
        r#"{"op":"m","source":{},"message":{"prefix":"p"}}"#,
        r#"{"schema":{},"payload":null}"#,
        r#"{"payload":null}"#,
        r#"{"key":{"id":1},"value":{"payload":null}}"#,
        r#"{"key":{"id":1},"value":null}"#,
        r#"{"key":{"schema":{},"payload":{"id":1}},"value":null}"#,
        HEARTBEAT,
        BEGIN,
        END,
    ] {
        assert!(rows(PATH, nothing).is_empty(), "{nothing}");
    }
    let stream = r#"{"action":"B","xid":5}
        {"action":"M","prefix":"p","content":"c"}
        {"action":"I","schema":"public","table":"t","columns":[{"name":"id","type":"integer","value":1}]}
        {"action":"C","xid":5}"#;
    assert_eq!(rows(PATH, stream).len(), 1);
    assert_eq!(rows(PATH, &format!("[{},null]", envelope("d", ""))).len(), 1);
}

const UPDATED: &str = r#"{"action":"U","xid":777,"timestamp":"2026-09-21 14:13:20.250123+00","lsn":"0/16B3748","schema":"public","table":"orders",
    "columns":[{"name":"id","type":"bigint","value":9007199254740993},{"name":"total","type":"numeric","value":31.50},{"name":"note","type":"text","value":null}],
    "identity":[{"name":"id","type":"bigint","value":9007199254740993}],"pk":[{"name":"id","type":"bigint"}]}"#;

#[test]
fn wal2json_format_2() {
    hold(
        PATH,
        &[(
            "update",
            UPDATED.into(),
            &[
                ("event_name", Some("orders.UPDATE")),
                ("db_system", Some("postgresql")),
                ("db_name", Some("public")),
                ("db_row_id", Some("9007199254740993")),
                ("resource_id", Some("acme/orders/9007199254740993")),
                ("db_lsn", Some("00000000/016B3748")),
                ("transaction_id", Some("777")),
                ("timestamp", Some("1790000000250123")),
                ("db_before", Some(r#"{"id":9007199254740993}"#)),
                (
                    "context",
                    Some(r#"{"pk":[{"name":"id","type":"bigint"}],"types":{"id":"bigint","total":"numeric","note":"text"}}"#),
                ),
                ("db_after", Some(r#"{"id":9007199254740993,"total":31.50,"note":null}"#)),
            ],
        )],
    );
    let inserted = r#"{"action":"I","table":"t","columns":[{"name":"b","value":"x"},{"name":"a","value":1},{"name":"c","value":0}],
        "pk":[{"name":"b"},{"name":"a"}]}"#;
    assert_eq!(row(PATH, inserted)["db_row_id"], r#"{"a":1,"b":"x"}"#);
    let deleted = r#"{"action":"D","table":"t","identity":[{"name":"id","value":7}]}"#;
    let deleted = row(PATH, deleted);
    assert_eq!((deleted["db_row_id"].as_str(), deleted["db_operation"].as_str(), deleted.get("db_after")), ("7", "DELETE", None));
    assert_eq!(row(PATH, r#"{"action":"T","schema":"public","table":"t"}"#)["event_name"], "t.TRUNCATE");
}

#[test]
fn a_change_is_recognised_by_its_place_in_the_log() {
    let id = |request: &str| row(PATH, request).remove("id").unwrap();
    assert_eq!(id(UPDATED), id(&UPDATED.replace("31.50", "99")), "the place decides, not the bytes");
    assert_ne!(id(UPDATED), id(&UPDATED.replace("16B3748", "16B3750")));
    assert_eq!(id(MYSQL_UPDATE), id(MYSQL_UPDATE));
    assert_ne!(id(MYSQL_UPDATE), id(&MYSQL_UPDATE.replace(r#""row":0"#, r#""row":1"#)));
    let twice = rows(PATH, &format!("[{0},{0}]", native("")));
    assert_ne!(twice[0]["id"], twice[1]["id"], "without a place in the log, the place in the request tells them apart");
}

/// Seen with PostgreSQL 15 and wal2json 2.5: `COPY` puts many rows into one record of the log.
#[test]
fn rows_of_one_record_of_the_log_stay_apart_without_a_key() {
    let ids = |requests: &[String]| {
        let rows = requests.iter().flat_map(|request| rows(PATH, request));
        rows.map(|mut row| row.remove("id").unwrap()).collect::<BTreeSet<_>>()
    };
    let copied = |value: &str, more: &str| {
        format!(
            r#"{{"action":"I","lsn":"0/152ABC8","schema":"public","table":"t","pk":[],"columns":[{{"name":"a","value":{value}}}]{more}}}"#
        )
    };
    let (one, two, again) = (copied("1", ""), copied("2", ""), copied("1", r#","ordinal":1"#));
    assert_eq!(ids(&[one.clone(), two.clone(), again.clone()]).len(), 3, "by what they say, equal rows by their number");
    assert_eq!(ids(&[one.clone(), format!("{two}{one}{again}")]).len(), 3, "delivered again, whatever the request");
    let elsewhere = copied("1", r#","cluster":"7","database":"shop""#);
    assert_eq!(ids(&[one, elsewhere, copied("1", r#","cluster":"8","database":"shop""#)]).len(), 3);
    let read = |value: &str, more: &str| {
        format!(r#"{{"op":"r","source":{{"connector":"postgresql","lsn":7,"table":"t"}},"after":{{"a":{value}}}{more}}}"#)
    };
    let ordered = read("1", r#","transaction":{"id":"5:7","total_order":2}"#);
    assert_eq!(ids(&[read("1", ""), read("2", ""), ordered]).len(), 3, "a snapshot of a table without a key");
    let keyed = |more: &str| format!(r#"{{"key":{{"id":5}},"value":{}}}"#, read("1", more));
    assert_eq!(ids(&[keyed(""), keyed(r#","transaction":{"id":"5:7","total_order":2}"#)]).len(), 1, "a key is enough");
}

/// Seen with the engine of Debezium 3.6.3: all rows of a snapshot are read at one place of the log.
#[test]
fn equal_rows_of_a_table_without_a_key_are_as_many_as_they_are() {
    let read = |who: &str| {
        format!(
            r#"{{"key":null,"value":{{"op":"r","after":{{"who":"{who}"}},"source":{{"connector":"postgresql","table":"t","lsn":7}}}}}}"#
        )
    };
    let ids = |requests: &[String]| {
        let rows = requests.iter().flat_map(|request| rows(PATH, request));
        rows.map(|mut row| row.remove("id").unwrap()).collect::<BTreeSet<_>>()
    };
    let (ann, bob) = (read("ann"), read("bob"));
    let snapshot = format!("{ann}\n{ann}\n{bob}\n{ann}");
    assert_eq!(ids(std::slice::from_ref(&snapshot)).len(), 4);
    assert_eq!(ids(&[snapshot.clone(), snapshot.clone()]).len(), 4, "the same request again");
    assert_eq!(ids(&[snapshot, ann.clone(), format!("{bob}{ann}")]).len(), 4, "in other requests");
    let keyed = ann.replace("null", r#"{"id":1}"#);
    assert_eq!(ids(&[format!("{keyed}{keyed}")]).len(), 1, "a key says that it is one row");
}

#[test]
fn rows_of_one_transaction_share_its_id() {
    let change = |lsn: u32, order: u32| {
        format!(
            r#"{{"op":"c","source":{{"connector":"postgresql","table":"t","txId":741,"lsn":{lsn}}},"after":{{}},
            "transaction":{{"id":"741:{lsn}","total_order":{order},"data_collection_order":1}}}}"#
        )
    };
    for change in [change(22_242_944, 1), change(22_243_088, 2)] {
        assert_eq!(row(PATH, &change)["transaction_id"], "741");
    }
}

#[test]
fn changes_that_break_a_rule() {
    reject(
        PATH,
        &[
            ("no shape", r#"{"id":1}"#, "op", "is missing"),
            ("nothing at all", "{}", "op", "is missing"),
            ("a status of something else", r#"{"status":"DONE","id":"1"}"#, "op", "is missing"),
            ("unknown operation", r#"{"operation":"MERGE","table":"t"}"#, "operation", "`MERGE` is none of"),
            ("no table", r#"{"operation":"INSERT"}"#, "table", "is missing"),
            ("unknown op", &envelope("x", ""), "op", "`x` is none of"),
            ("no source", r#"{"op":"c","after":{}}"#, "table", "is missing"),
            ("negative lsn", &envelope("c", r#","lsn":-5"#), "lsn", "negative"),
            ("huge lsn", &envelope("c", r#","lsn":1e400"#), "lsn", "64 bits"),
            ("payload is a list", r#"{"payload":[]}"#, "payload", "must be an object"),
            ("unknown action", r#"{"action":"X","table":"t"}"#, "action", "`X` is none of"),
            ("columns are no list", r#"{"action":"I","table":"t","columns":{}}"#, "columns", "must be an array"),
            ("a column is no object", r#"{"action":"I","table":"t","columns":[1]}"#, "columns", "list of objects"),
            ("a column has no name", r#"{"action":"I","table":"t","columns":[{"value":1}]}"#, "name", "is missing"),
            ("time is nonsense", r#"{"action":"I","table":"t","timestamp":"x"}"#, "timestamp", "must be a time"),
        ],
    );
}
