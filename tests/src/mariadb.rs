//! A real MariaDB for Debezium's connector of MySQL: data of its own in a temporary folder, a log of rows, on a free port.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ports::free_port;

/// Where Debian keeps the server. Its package starts nothing; what its packages without `core` add is a service.
const SERVER: &str = "/usr/sbin/mariadbd";
const START_DEADLINE: Duration = Duration::from_secs(60);
/// Somebody else may take the free port before it is bound.
const PORTS_TRIED: u32 = 5;
/// The database of the tests.
pub const DATABASE: &str = "store";
/// The connector of MySQL refuses a MariaDB by its version: 3.x asks for `SHOW BINARY LOG STATUS`, which only MySQL has. To a
/// MySQL 5.7 it speaks what both understand; from 5.7.20 on its driver asks for a variable that MariaDB 10 names otherwise.
const AS_VERSION: &str = "--version=5.7.19-log";
/// The log that the connector reads.
const LOG: [&str; 4] = ["--log-bin=mysql-bin", "--binlog-format=ROW", "--binlog-row-image=FULL", "--server-id=1"];
/// Small, and what is in it need not survive the machine.
const ALWAYS: [&str; 6] = [
    "--bind-address=127.0.0.1",
    "--character-set-server=utf8mb4",
    "--default-time-zone=+00:00",
    "--innodb-buffer-pool-size=16M",
    SMALL_LOG,
    "--innodb-flush-log-at-trx-commit=0",
];
const SMALL_LOG: &str = "--innodb-log-file-size=8M";

/// Killed by its process id when dropped.
#[derive(Debug)]
pub struct Mariadb {
    server: Child,
    /// Holds the data until the server has ended.
    _home: TempDir,
    /// On 127.0.0.1; user `root` has no password.
    pub port: u16,
}

impl Mariadb {
    /// Starts a new server with an empty database [`DATABASE`]; returns when it answers.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let mut install = command("mariadb-install-db", home.path());
        install.args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve", SMALL_LOG]);
        let output = install.output().expect("run `cargo xtask prepare`");
        assert!(output.status.success(), "{install:?}: {}", String::from_utf8_lossy(&output.stderr));
        for _ in 0..PORTS_TRIED {
            let port = free_port();
            let mut server = server(home.path(), port);
            if answers(&mut server, home.path(), port) {
                return Self { server, _home: home, port };
            }
        }
        panic!("MariaDB does not start: {}", log(home.path()))
    }

    /// Runs statements in [`DATABASE`].
    ///
    /// # Panics
    /// When a statement fails.
    pub fn sql(&self, sql: &str) {
        let mut client = client(self.port);
        client.arg(DATABASE).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut running = client.spawn().expect("the client runs");
        running.stdin.take().expect("piped").write_all(sql.as_bytes()).expect("the client reads");
        let output = running.wait_with_output().expect("the client ends");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Mariadb {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// One of the server's programs; it takes root for a mistake unless it is told.
fn command(program: &str, home: &Path) -> Command {
    let mut command = Command::new(program);
    // A server that starts deletes the temporary tables that it finds, also those of another that is being installed.
    command.env("TMPDIR", home);
    command.current_dir(home).arg("--no-defaults").arg(format!("--datadir={}", home.join("data").display()));
    if home.metadata().expect("it is there").uid() == 0 {
        command.arg("--user=root");
    }
    command
}

fn server(home: &Path, port: u16) -> Child {
    let mut command = command(SERVER, home);
    let path = |option: &str, name: &str| format!("--{option}={}", home.join(name).display());
    command.args([format!("--port={port}"), path("socket", "socket"), path("pid-file", "pid")]);
    command.arg(AS_VERSION).args(LOG).args(ALWAYS);
    let log = File::create(home.join("log")).expect("a log");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("run `cargo xtask prepare`")
}

fn client(port: u16) -> Command {
    let mut command = Command::new("/usr/bin/mariadb");
    command.args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--user=root", "--default-character-set=utf8mb4"]);
    command.arg(format!("--port={port}"));
    command
}

/// Whether it takes connections; it does not when it ends first.
fn answers(server: &mut Child, home: &Path, port: u16) -> bool {
    let end = Instant::now() + START_DEADLINE;
    while server.try_wait().expect("it can be asked").is_none() {
        let mut create = client(port);
        create.args(["--execute", &format!("CREATE DATABASE IF NOT EXISTS {DATABASE}")]).stderr(Stdio::null());
        if create.status().expect("run `cargo xtask prepare`").success() {
            return true;
        }
        assert!(Instant::now() < end, "MariaDB does not answer: {}", log(home));
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn log(home: &Path) -> String {
    std::fs::read_to_string(home.join("log")).unwrap_or_default()
}
