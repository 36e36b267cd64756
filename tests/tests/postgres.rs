//! The starter of PostgreSQL itself.

use watershed_tests::postgres::Postgres;

#[test]
fn two_clusters_run_side_by_side_and_end_with_their_owners() {
    let [one, two] = ["100", "200"].map(|senders| Postgres::start(&[("wal_level", "logical"), ("max_wal_senders", senders)]));
    assert_eq!([&one, &two].map(|postgres| postgres.psql("SHOW max_wal_senders; SELECT 1, 'a';")), ["100\n1|a", "200\n1|a"]);
    let port = one.port;
    drop(one);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "ended");
    assert_eq!(two.psql("SHOW wal_level"), "logical");
}
