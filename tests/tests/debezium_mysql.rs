//! Debezium's engine with its connector of MySQL between a real MariaDB and the real node: a snapshot, changes, tombstones, a crash.

use std::path::Path;

use watershed_client::Client;
use watershed_tests::debezium::{
    EVERYTHING, Engine, SAID, count, delivered_again_adds_nothing, schemas, silk_and_bob_came_together,
};
use watershed_tests::mariadb::Mariadb;
use watershed_tests::server::Server;
use watershed_tests::texts;

const ORDERS: &str = "CREATE TABLE orders (id int PRIMARY KEY, total decimal(25, 2), note text);
    INSERT INTO orders VALUES (1, 1.10, 'ünï'), (2, NULL, NULL);";
const CHANGES: &str = "INSERT INTO orders VALUES (3, 12345678901234567890.5, 'c');
    UPDATE orders SET note = 'cc' WHERE id = 3;
    DELETE FROM orders WHERE id = 3;";

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_of_debezium_sends_what_it_reads_from_mariadb() {
    let (mariadb, dir) = (Mariadb::start(), tempfile::tempdir().expect("a folder"));
    mariadb.sql(ORDERS);
    let server = Server::start(&dir.path().join("node"), &[]);
    let client = server.client().await;
    for (with_schemas, name) in [("false", "plain"), ("true", "wrapped")] {
        let (folder, before) = (dir.path().join(name), count(&client).await);
        let mut engine = Engine::start(&mariadb, &server, &folder, 5, &schemas(with_schemas));
        engine.until_there(&client, before + 2).await;
        mariadb.sql(CHANGES);
        engine.ended();
        assert_eq!(count(&client).await, before + 5, "tombstones and schemas are no changes");
        rows_are_right(&client).await;
        let sent = Engine::sent(&folder);
        assert!(sent.contains(r#""value":null}"#) && sent.contains(r#""tableChanges":"#), "both are sent: {sent}");
        assert_eq!(sent.contains(r#""schema":{"#), with_schemas == "true", "{sent}");
        delivered_again_adds_nothing(&client, sent, 5).await;
    }
}

/// The newest five rows.
async fn rows_are_right(client: &Client) {
    let sql = "SELECT event_name || ' ' || db_system || ' ' || db_name || '.' || db_table || ' ' || db_operation || ' ' || db_row_id || \
               ' ' || coalesce(db_before, '-') || ' ' || coalesce(db_after, '-') FROM events ORDER BY db_lsn DESC, db_row_id DESC LIMIT 5";
    let (row, then) =
        (r#"{"id":3,"total":"12345678901234567890.50","note":"c"}"#, r#"{"id":3,"total":"12345678901234567890.50","note":"cc"}"#);
    let expected = [
        format!("orders.DELETE mysql store.orders DELETE 3 {then} -"),
        format!("orders.UPDATE mysql store.orders UPDATE 3 {row} {then}"),
        format!("orders.INSERT mysql store.orders INSERT 3 - {row}"),
        r#"orders.READ mysql store.orders READ 2 - {"id":2,"total":null,"note":null}"#.to_owned(),
        r#"orders.READ mysql store.orders READ 1 - {"id":1,"total":"1.10","note":"ünï"}"#.to_owned(),
    ];
    assert_eq!(texts(client, sql).await, expected);
    let places = "SELECT DISTINCT regexp_replace(db_lsn, '[0-9]+', 'N', 'g') FROM events";
    assert_eq!(texts(client, places).await, ["mysql-bin.N:N"]);
}

/// Tables with a key of two columns and without any.
const TABLES: &str = "CREATE TABLE parts (order_id int, part int, sku text, PRIMARY KEY (order_id, part));
    CREATE TABLE visits (who text);
    INSERT INTO parts VALUES (1, 1, 'wool'), (1, 2, 'pins');
    INSERT INTO visits VALUES ('amy'), ('ann');";
/// A transaction over two tables, a key that changes (for Debezium a row goes, another comes), equal rows of one event of the
/// log, another schema, a truncation.
const TRAFFIC: &str = "BEGIN; INSERT INTO parts VALUES (2, 1, 'silk'); INSERT INTO visits VALUES ('bob'); COMMIT;
    UPDATE parts SET part = 7 WHERE order_id = 1 AND part = 2;
    INSERT INTO visits VALUES ('eve'), ('eve');
    DELETE FROM visits WHERE who = 'bob';
    ALTER TABLE visits ADD note text;
    TRUNCATE visits;";

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_on_mariadb_that_forgets_where_it_was_sends_everything_again() {
    let (mariadb, dir) = (Mariadb::start(), tempfile::tempdir().expect("a folder"));
    mariadb.sql(TABLES);
    let server = Server::start(&dir.path().join("node"), &[]);
    let (client, folder) = (server.client().await, dir.path().join("engine"));
    let with = |more: &[(&'static str, &'static str)]| [&EVERYTHING[..], more].concat();
    Engine::start(&mariadb, &server, &folder, 4, &with(&schemas("true"))).ended();
    assert_eq!(count(&client).await, 4, "the snapshot");
    let kept = dir.path().join("kept");
    std::fs::create_dir(&kept).expect("a folder");
    restore(&folder, &kept);
    let mut engine = Engine::start(&mariadb, &server, &folder, usize::MAX, &with(&schemas("true")));
    mariadb.sql(TRAFFIC);
    engine.until_there(&client, 4 + 8).await;
    drop(engine);
    restore(&kept, &folder);
    let before = Engine::sent(&folder).len();
    let mut engine = Engine::start(&mariadb, &server, &folder, usize::MAX, &with(&schemas("false")));
    let marks = [r#""status":"BEGIN""#, r#"{"serverName":"shop"}"#, r#""ddl":"ALTER"#, r#""silk""#, r#""op":"t""#];
    engine.until_sent(before, &marks).await;
    drop(engine);
    assert!(!Engine::sent(&folder)[before..].contains(r#""schema":{"#), "without schemas");
    assert_eq!(count(&client).await, 4 + 8, "in another form and other requests it adds nothing");
    traffic_is_right(&client).await;
}

/// What an engine knows of its place and of schemas there. To ask it for rare confirmations does not suffice: what comes
/// first it confirms at once.
fn restore(from: &Path, to: &Path) {
    for name in ["offsets", "history"] {
        std::fs::copy(from.join(name), to.join(name)).expect("the engine keeps it");
    }
}

async fn traffic_is_right(client: &Client) {
    let expected = [
        r#"parts.READ {"order_id":1,"part":1} - {"order_id":1,"part":1,"sku":"wool"}"#,
        r#"parts.READ {"order_id":1,"part":2} - {"order_id":1,"part":2,"sku":"pins"}"#,
        r#"visits.READ - - {"who":"amy"}"#,
        r#"visits.READ - - {"who":"ann"}"#,
        r#"parts.INSERT {"order_id":2,"part":1} - {"order_id":2,"part":1,"sku":"silk"}"#,
        r#"visits.INSERT - - {"who":"bob"}"#,
        r#"parts.DELETE {"order_id":1,"part":2} {"order_id":1,"part":2,"sku":"pins"} -"#,
        r#"parts.INSERT {"order_id":1,"part":7} - {"order_id":1,"part":7,"sku":"pins"}"#,
        r#"visits.INSERT - - {"who":"eve"}"#,
        r#"visits.INSERT - - {"who":"eve"}"#,
        r#"visits.DELETE - {"who":"bob"} -"#,
        "visits.TRUNCATE - - -",
    ];
    assert_eq!(texts(client, SAID).await, expected);
    silk_and_bob_came_together(client).await;
}
