//! Debezium's own engine between a real PostgreSQL and the real node: a snapshot, changes, tombstones, and a crash.

use watershed_client::Client;
use watershed_tests::debezium::{
    EVERYTHING, Engine, SAID, count, delivered_again_adds_nothing, schemas, silk_and_bob_came_together,
};
use watershed_tests::postgres::Postgres;
use watershed_tests::server::Server;
use watershed_tests::texts;

const ORDERS: &str = "CREATE TABLE orders (id int PRIMARY KEY, total numeric, note text);
    ALTER TABLE orders REPLICA IDENTITY FULL;
    INSERT INTO orders VALUES (1, 1.10, 'ünï'), (2, NULL, NULL);";
const CHANGES: &str = "INSERT INTO orders VALUES (3, 12345678901234567890.5, 'c');
    UPDATE orders SET note = 'cc' WHERE id = 3;
    DELETE FROM orders WHERE id = 3;";

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_of_debezium_sends_what_it_reads_from_postgresql() {
    let (postgres, dir) = (Postgres::start(&[("wal_level", "logical")]), tempfile::tempdir().expect("a folder"));
    postgres.psql(ORDERS);
    let server = Server::start(&dir.path().join("node"), &[]);
    let client = server.client().await;
    for (with_schemas, slot) in [("false", "plain"), ("true", "wrapped")] {
        let (folder, before) = (dir.path().join(slot), count(&client).await);
        let settings = [&schemas(with_schemas)[..], &[("slot.name", slot), ("publication.name", slot)]].concat();
        let mut engine = Engine::start(&postgres, &server, &folder, 5, &settings);
        engine.until_there(&client, before + 2).await;
        postgres.psql(CHANGES);
        engine.ended();
        assert_eq!(count(&client).await, before + 5, "a tombstone is no change");
        rows_are_right(&client).await;
        delivered_again_adds_nothing(&client, Engine::sent(&folder), 5).await;
    }
}

/// The newest five rows.
async fn rows_are_right(client: &Client) {
    let sql = "SELECT event_name || ' ' || db_system || ' ' || db_name || '.' || db_table || ' ' || db_row_id || ' ' || \
               coalesce(db_before, '-') || ' ' || coalesce(db_after, '-') FROM events ORDER BY db_lsn DESC, db_row_id DESC LIMIT 5";
    let (row, then) =
        (r#"{"id":3,"total":"12345678901234567890.5","note":"c"}"#, r#"{"id":3,"total":"12345678901234567890.5","note":"cc"}"#);
    let expected = [
        format!("orders.DELETE postgresql public.orders 3 {then} -"),
        format!("orders.UPDATE postgresql public.orders 3 {row} {then}"),
        format!("orders.INSERT postgresql public.orders 3 - {row}"),
        r#"orders.READ postgresql public.orders 2 - {"id":2,"total":null,"note":null}"#.to_owned(),
        r#"orders.READ postgresql public.orders 1 - {"id":1,"total":"1.10","note":"ünï"}"#.to_owned(),
    ];
    assert_eq!(texts(client, sql).await, expected);
}

/// Tables with a key of two columns and without any. Not with equal rows: those of a snapshot are two only within one request,
/// and the engine sends when it likes (`crates/sources/src/cdc/twins.rs`).
const TABLES: &str = "CREATE TABLE lines (order_id int, line int, sku text, PRIMARY KEY (order_id, line));
    CREATE TABLE visits (who text);
    ALTER TABLE visits REPLICA IDENTITY FULL;
    INSERT INTO lines VALUES (1, 1, 'wool'), (1, 2, 'pins');
    INSERT INTO visits VALUES ('amy'), ('ann');";
const FIRST: &str = "INSERT INTO visits VALUES ('dan')";
/// A transaction over two tables, a key that changes (for Debezium a row goes, another comes), rows of one record of the log,
/// a message, a truncation.
const TRAFFIC: &str = "BEGIN; INSERT INTO lines VALUES (2, 1, 'silk'); INSERT INTO visits VALUES ('bob'); COMMIT;
    UPDATE lines SET line = 7 WHERE order_id = 1 AND line = 2;
    COPY visits FROM stdin;
eve
eve
\\.
    DELETE FROM visits WHERE who = 'bob';
    SELECT pg_logical_emit_message(true, 'shop', 'no change of a row');
    TRUNCATE visits;";

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_dies_before_it_confirms_sends_everything_again() {
    let (postgres, dir) = (Postgres::start(&[("wal_level", "logical")]), tempfile::tempdir().expect("a folder"));
    postgres.psql(TABLES);
    let server = Server::start(&dir.path().join("node"), &[]);
    let (client, folder) = (server.client().await, dir.path().join("engine"));
    let with = |more: &[(&'static str, &'static str)]| [&EVERYTHING[..], more].concat();
    Engine::start(&postgres, &server, &folder, 4, &with(&schemas("true"))).ended();
    assert_eq!(count(&client).await, 4);
    // An hour: it confirms what comes first, however seldom it is to, and nothing after that.
    let never = with(&[("offset.flush.interval.ms", "3600000")]);
    let mut engine = Engine::start(&postgres, &server, &folder, usize::MAX, &[&never[..], &schemas("true")].concat());
    for (statements, rows) in [(FIRST, 4 + 1), (TRAFFIC, 4 + 1 + 8)] {
        postgres.psql(statements);
        engine.until_there(&client, rows).await;
    }
    drop(engine);
    let before = Engine::sent(&folder).len();
    // Whether the first row comes again is up to when the engine was killed.
    let mut engine = Engine::start(&postgres, &server, &folder, usize::MAX, &with(&schemas("false")));
    let marks = [r#""status":"BEGIN""#, r#"{"serverName":"shop"}"#, r#""op":"m""#, r#""silk""#, r#""op":"t""#];
    engine.until_sent(before, &marks).await;
    drop(engine);
    assert!(!Engine::sent(&folder)[before..].contains(r#""schema":{"#), "without schemas");
    assert_eq!(count(&client).await, 4 + 1 + 8, "in another form and other requests it adds nothing");
    traffic_is_right(&client).await;
}

async fn traffic_is_right(client: &Client) {
    let expected = [
        r#"lines.READ {"line":1,"order_id":1} - {"order_id":1,"line":1,"sku":"wool"}"#,
        r#"lines.READ {"line":2,"order_id":1} - {"order_id":1,"line":2,"sku":"pins"}"#,
        r#"visits.READ - - {"who":"amy"}"#,
        r#"visits.READ - - {"who":"ann"}"#,
        r#"visits.INSERT - - {"who":"dan"}"#,
        r#"lines.INSERT {"line":1,"order_id":2} - {"order_id":2,"line":1,"sku":"silk"}"#,
        r#"visits.INSERT - - {"who":"bob"}"#,
        r#"lines.DELETE {"line":2,"order_id":1} {"order_id":1,"line":2,"sku":null} -"#,
        r#"lines.INSERT {"line":7,"order_id":1} - {"order_id":1,"line":7,"sku":"pins"}"#,
        r#"visits.INSERT - - {"who":"eve"}"#,
        r#"visits.INSERT - - {"who":"eve"}"#,
        r#"visits.DELETE - {"who":"bob"} -"#,
        "visits.TRUNCATE - - -",
    ];
    assert_eq!(texts(client, SAID).await, expected);
    silk_and_bob_came_together(client).await;
}
