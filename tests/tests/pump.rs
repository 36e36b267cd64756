//! `watershed cdc postgres` between a real PostgreSQL with wal2json and the real node.

use watershed_client::Client;
use watershed_tests::postgres::Postgres;
use watershed_tests::pump::Pump;
use watershed_tests::server::Server;
use watershed_tests::{number, texts, until};

const LOGICAL: [(&str, &str); 1] = [("wal_level", "logical")];
const SLOT: &str = "shop";
const CREATE: [&str; 1] = ["--create-slot"];

/// The pump has created its slot and reads from it.
async fn streaming(postgres: &Postgres) {
    let active = format!("SELECT active FROM pg_replication_slots WHERE slot_name = '{SLOT}'");
    until("the stream", async || postgres.psql(&active) == "t").await;
}

async fn arrived(client: &Client, condition: &str, wanted: i64) {
    let sql = format!("SELECT count(*) FROM events WHERE event_type = 'cdc' AND {condition}");
    until(&format!("{wanted} changes where {condition}"), async || number(client, &sql).await >= wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_become_rows_with_their_key_values_and_place() {
    let (postgres, dir) = (Postgres::start(&LOGICAL), tempfile::tempdir().expect("a folder"));
    let server = Server::start(dir.path(), &[]);
    postgres.psql("CREATE TABLE orders (id int PRIMARY KEY, total numeric, note text); CREATE TABLE other (id int PRIMARY KEY);");
    postgres.psql("ALTER TABLE orders REPLICA IDENTITY FULL");
    let flags = ["--create-slot", "--table", "public.orders", "--tenant", "acme"];
    let pump = Pump::start(&postgres.url, SLOT, &server.http, &flags);
    streaming(&postgres).await;
    postgres.psql("INSERT INTO orders VALUES (1, 12345678901234567890.10, 'ünï'); INSERT INTO other VALUES (1);");
    postgres.psql("UPDATE orders SET total = 5 WHERE id = 1; DELETE FROM orders WHERE id = 1; TRUNCATE orders;");
    let client = server.client().await.with_tenant("acme").expect("a name");
    arrived(&client, "true", 4).await;
    let shown = "SELECT event_name || ' ' || db_name || '.' || db_table || ' ' || coalesce(db_row_id, '-') || ' ' || \
                 coalesce(db_before, '-') || ' ' || coalesce(db_after, '-') FROM events ORDER BY db_lsn";
    let row = r#"{"id":1,"total":12345678901234567890.10,"note":"ünï"}"#;
    let then = r#"{"id":1,"total":5,"note":"ünï"}"#;
    assert_eq!(
        texts(&client, shown).await,
        [
            format!("orders.INSERT public.orders 1 - {row}"),
            format!("orders.UPDATE public.orders 1 {row} {then}"),
            format!("orders.DELETE public.orders 1 {then} -"),
            "orders.TRUNCATE public.orders - - -".to_owned(),
        ]
    );
    assert_eq!(number(&client, "SELECT count(DISTINCT db_lsn) FROM events WHERE db_system = 'postgresql'").await, 4);
    let (status, said) = pump.terminate();
    assert!(status.success() && said.contains("4 changes"), "{said}");
}

/// The set checker of the pump: what PostgreSQL committed is there once, whoever died meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn every_committed_row_is_there_once_whoever_is_killed() {
    const ROWS: i64 = 8_000;
    let (mut postgres, dir) = (Postgres::start(&LOGICAL), tempfile::tempdir().expect("a folder"));
    let mut server = Server::start(dir.path(), &[]);
    let http = server.http.trim_start_matches("http://").to_owned();
    postgres.psql("CREATE TABLE item (id bigserial PRIMARY KEY, of int); CREATE TABLE heap (of int);");
    let mut pump = Pump::start(&postgres.url, SLOT, &server.http, &CREATE);
    streaming(&postgres).await;
    // Small transactions, one that takes several requests, and rows without a key that share a place in the log.
    let write = |round: i64| {
        postgres.psql(&format!("INSERT INTO item (of) VALUES ({round}); ").repeat(200));
        postgres.psql(&format!("INSERT INTO item (of) SELECT {round} FROM generate_series(1, 1800)"));
        postgres.psql(&format!("COPY heap FROM stdin;\n{}\\.\n", format!("{round}\n").repeat(50)));
    };
    write(0);
    pump.kill();
    pump = Pump::start(&postgres.url, SLOT, &server.http, &[]);
    write(1);
    arrived(&server.client().await, "db_table = 'heap'", 100).await;
    server.kill();
    let before = postgres.psql("SELECT pg_current_wal_lsn()");
    write(2);
    // The pump is given it all and cannot have it answered: nothing of it may be confirmed.
    let written = postgres.psql("SELECT pg_current_wal_lsn()");
    let sent = format!("SELECT coalesce(max(sent_lsn), '0/0') >= '{written}' FROM pg_stat_replication");
    until("all is sent", async || postgres.psql(&sent) == "t").await;
    let kept = format!("SELECT confirmed_flush_lsn <= '{before}' FROM pg_replication_slots");
    assert_eq!(postgres.psql(&kept), "t", "what was not answered is confirmed");
    pump.kill();
    server = Server::start(dir.path(), &["--http-addr", &http]);
    pump = Pump::start(&postgres.url, SLOT, &server.http, &[]);
    streaming(&postgres).await;
    write(3);
    postgres.crash();
    postgres.start_again();
    let client = server.client().await;
    arrived(&client, "db_table = 'item'", ROWS).await;
    arrived(&client, "db_table = 'heap'", 200).await;
    let (status, said) = pump.terminate();
    assert!(status.success(), "{said}");
    let counted = async |sql: &str| number(&client, sql).await;
    assert_eq!(counted("SELECT count(*) FROM events WHERE db_table = 'item'").await, ROWS);
    assert_eq!(counted("SELECT count(DISTINCT db_row_id) FROM events WHERE db_table = 'item'").await, ROWS);
    assert_eq!(counted("SELECT count(*) FROM events WHERE db_table = 'heap'").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slot_goes_on_from_what_was_confirmed() {
    let (postgres, dir) = (Postgres::start(&LOGICAL), tempfile::tempdir().expect("a folder"));
    let server = Server::start(dir.path(), &[]);
    postgres.psql("CREATE TABLE item (id bigserial PRIMARY KEY)");
    let pump = Pump::start(&postgres.url, SLOT, &server.http, &CREATE);
    streaming(&postgres).await;
    postgres.psql("INSERT INTO item SELECT FROM generate_series(1, 10)");
    let client = server.client().await;
    arrived(&client, "true", 10).await;
    let (_, said) = pump.terminate();
    assert!(said.contains("10 changes"), "{said}");
    postgres.psql("INSERT INTO item SELECT FROM generate_series(1, 3)");
    let pump = Pump::start(&postgres.url, SLOT, &server.http, &[]);
    arrived(&client, "true", 13).await;
    let (_, said) = pump.terminate();
    assert!(said.contains("3 changes"), "what was confirmed is not sent again: {said}");
    let kept = "SELECT pg_current_wal_lsn() - confirmed_flush_lsn < 100000 FROM pg_replication_slots";
    assert_eq!(postgres.psql(kept), "t", "the server may forget");
}

#[test]
fn what_cannot_work_is_told_and_ends_it() {
    let postgres = Postgres::start(&LOGICAL);
    postgres.psql("CREATE ROLE plain LOGIN; SELECT pg_create_logical_replication_slot('theirs', 'test_decoding');");
    let plain = postgres.url.replace("postgres@", "plain@");
    let without = format!("{}?sslmode=require", postgres.url);
    let node = "http://127.0.0.1:9";
    for (url, slot, to, flags, code, words) in [
        ("mysql://db", "s", node, &CREATE[..], 2, "must begin with postgres://"),
        (without.as_str(), "s", node, &CREATE[..], 2, "no TLS"),
        (postgres.url.as_str(), "S-1", node, &CREATE[..], 2, "slot: must be 1 to 63"),
        (postgres.url.as_str(), "s", "https://n", &CREATE[..], 2, "no TLS"),
        (postgres.url.as_str(), "absent", node, &[][..], 1, "there is no slot `absent`"),
        (postgres.url.as_str(), "theirs", node, &CREATE[..], 1, "is of test_decoding"),
        (plain.as_str(), "s", node, &CREATE[..], 1, "it needs REPLICATION"),
    ] {
        let (status, said) = Pump::start(url, slot, to, flags).ended();
        assert!(status.code() == Some(code) && said.contains(words), "{url} {slot}: {status} {said}");
    }
}
