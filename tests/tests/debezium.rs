//! Debezium's own engine between a real PostgreSQL and the real node: a snapshot, changes, tombstones.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use watershed_client::Client;
use watershed_tests::postgres::Postgres;
use watershed_tests::server::Server;
use watershed_tests::{number, target, texts, until};

/// Two rows of the snapshot, an insert, an update, a deletion and its tombstone.
const RECORDS: &str = "6";
const TABLE: &str = "CREATE TABLE orders (id int PRIMARY KEY, total numeric, note text);
    ALTER TABLE orders REPLICA IDENTITY FULL;
    INSERT INTO orders VALUES (1, 1.10, 'ünï'), (2, NULL, NULL);";
const CHANGES: &str = "INSERT INTO orders VALUES (3, 12345678901234567890.5, 'c');
    UPDATE orders SET note = 'cc' WHERE id = 3;
    DELETE FROM orders WHERE id = 3;";

fn engine(postgres: &Postgres, server: &Server, folder: &Path, with_schemas: bool) -> Child {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("foreign/send_debezium.py");
    let mut command = Command::new(target().join("foreign/debezium/bin/python"));
    // It writes a log into its working directory.
    command.current_dir(folder).arg(script).args([&postgres.port.to_string(), &server.http]).arg(folder);
    command.args([&with_schemas.to_string(), RECORDS]).stdout(Stdio::null());
    let log = std::fs::File::create(folder.join("stderr")).expect("a log");
    command.stderr(log).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}: run `cargo xtask prepare`"))
}

async fn count(client: &Client) -> i64 {
    number(client, "SELECT count(*) FROM events").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_of_debezium_sends_what_it_reads_from_postgresql() {
    let (postgres, dir) = (Postgres::start(&[("wal_level", "logical")]), tempfile::tempdir().expect("a folder"));
    postgres.psql(TABLE);
    let server = Server::start(&dir.path().join("node"), &[]);
    for (with_schemas, tenant) in [(false, "plain"), (true, "wrapped")] {
        let folder = dir.path().join(tenant);
        std::fs::create_dir(&folder).expect("a folder");
        let client = server.client().await;
        let before = count(&client).await;
        let mut engine = engine(&postgres, &server, &folder, with_schemas);
        let said = || std::fs::read_to_string(folder.join("stderr")).unwrap_or_default();
        until("the snapshot", async || {
            assert!(engine.try_wait().expect("it can be asked").is_none(), "it ended: {}", said());
            count(&client).await == before + 2
        })
        .await;
        postgres.psql(CHANGES);
        assert!(engine.wait().expect("it ends").success(), "{}", said());
        assert_eq!(count(&client).await, before + 5, "a tombstone is no change");
        rows_are_right(&client).await;
        let sent = std::fs::read(folder.join("sent")).expect("what was sent");
        let again = client.send("/v1/cdc", sent).await.expect("taken");
        assert_eq!((again.accepted, again.rejected), (5, 0), "{:?}", again.reasons);
        assert_eq!(count(&client).await, before + 5, "delivered again it adds nothing");
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
