//! Whole-system tests against the real binary, which runs as a process of its own.
//!
//! `cargo xtask test` builds the binary and installs the foreign clients first.

pub mod authority;
pub mod browser;
pub mod cluster;
pub mod curl;
pub mod debezium;
pub mod mariadb;
pub mod otlp;
mod ports;
pub mod postgres;
pub mod pump;
pub mod pyiceberg;
pub mod server;
pub mod workerd;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use watershed_client::{Client, Error};

/// The folder that cargo builds into: tests lie in `<target>/<profile>/deps`.
///
/// # Panics
/// When the test was not built by cargo.
#[must_use]
pub fn target() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    test.ancestors().nth(3).expect("built by cargo").to_owned()
}

/// Waits until `done`, however long it takes within a minute; for things that another process does.
///
/// # Panics
/// When it does not come.
pub async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done().await {
        assert!(Instant::now() < end, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a node of a cluster answers, asked again while it says to come back: leaders change, are killed, are not elected yet.
///
/// # Panics
/// When it says something else, or always that.
pub async fn answered<T>(ask: impl AsyncFn() -> Result<T, Error>) -> T {
    let mut told = None;
    until("a node answers", async || match ask().await {
        Err(error) if error.is_retryable() => false,
        answer => {
            told = Some(answer.unwrap_or_else(|error| panic!("{error}")));
            true
        }
    })
    .await;
    told.expect("was waited for")
}

/// The first column of the first row, a number.
///
/// # Panics
/// When the query fails.
pub async fn number(client: &Client, sql: &str) -> i64 {
    let rows = client.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let found = rows.iter().find(|batch| batch.num_rows() > 0).unwrap_or_else(|| panic!("{sql}: no row"));
    found.column(0).as_primitive::<Int64Type>().value(0)
}

/// The first column, texts; null is `-`.
///
/// # Panics
/// When the query fails.
pub async fn texts(client: &Client, sql: &str) -> Vec<String> {
    let rows = client.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let text = |value: Option<&str>| value.unwrap_or("-").to_owned();
    rows.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter().map(text).collect::<Vec<_>>()).collect()
}
