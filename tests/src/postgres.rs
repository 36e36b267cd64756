//! A real PostgreSQL: a cluster of its own in a temporary folder, on a free port, without passwords.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ports::free_port;

/// Where Debian keeps its programs.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
const START_DEADLINE: Duration = Duration::from_secs(60);
/// Somebody else may take the free port before it is bound.
const PORTS_TRIED: u32 = 5;
/// Newest minor versions refuse every output plugin that is not named here; older ones refuse the setting.
const PLUGINS: (&str, &str) = ("output_plugin_libraries", "pgoutput, test_decoding, wal2json");
/// What is in a cluster of a test need not survive the machine.
const ALWAYS: [(&str, &str); 4] =
    [("listen_addresses", "127.0.0.1"), ("unix_socket_directories", ""), ("fsync", "off"), ("timezone", "UTC")];

/// Stopped by its process id when dropped.
#[derive(Debug)]
pub struct Postgres {
    postmaster: Child,
    home: TempDir,
    settings: Vec<(String, String)>,
    /// `postgres://…` of database `postgres` as its superuser `postgres`.
    pub url: String,
    /// On 127.0.0.1.
    pub port: u16,
}

impl Postgres {
    /// Starts a new cluster with `settings` of `postgresql.conf`, `wal_level = logical` for example; returns when it answers.
    /// Output plugins are allowed where they have to be.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let settings: Vec<(String, String)> = settings.iter().map(owned).collect();
        let home = tempfile::tempdir().expect("a folder");
        let owner = owner_of(home.path());
        chown(home.path(), Some(owner.0), Some(owner.1)).expect("the folder is given to who runs it");
        let initdb = ["--pgdata=data", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
        run(program("initdb", home.path()).uid(owner.0).gid(owner.1).args(initdb));
        for _ in 0..PORTS_TRIED {
            let port = free_port();
            let mut postmaster = postmaster(home.path(), port, &settings);
            if answers(&mut postmaster, home.path(), port) {
                return Self { postmaster, home, settings, url: url(port), port };
            }
        }
        panic!("PostgreSQL does not start: {}", log(home.path()))
    }

    /// An immediate shutdown: what was committed is in the log and nowhere else.
    pub fn crash(&mut self) {
        drop(Command::new("kill").args(["-QUIT", &self.postmaster.id().to_string()]).status());
        drop(self.postmaster.wait());
    }

    /// Starts again what has crashed, on the same port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        self.postmaster = postmaster(self.home.path(), self.port, &self.settings);
        assert!(answers(&mut self.postmaster, self.home.path(), self.port), "PostgreSQL does not start: {}", self.log());
    }

    /// Runs statements, each in a transaction of its own; what they return, a line for each row, columns apart by `|`.
    ///
    /// # Panics
    /// When a statement fails.
    pub fn psql(&self, sql: &str) -> String {
        let mut psql = program("psql", self.home.path());
        psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", "--dbname", &self.url]);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = psql.spawn().expect("psql runs");
        running.stdin.take().expect("piped").write_all(sql.as_bytes()).expect("psql reads");
        let output = running.wait_with_output().expect("psql ends");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
    }

    /// What the server wrote to its log.
    #[must_use]
    pub fn log(&self) -> String {
        log(self.home.path())
    }
}

impl Drop for Postgres {
    /// Immediate shutdown: a smart or fast one waits for those who follow its log.
    fn drop(&mut self) {
        self.crash();
    }
}

/// PostgreSQL refuses to run as root: then it is Debian's user `postgres`, else whoever runs the test.
fn owner_of(folder: &Path) -> (u32, u32) {
    let own = folder.metadata().expect("it is there");
    let id = |flag| {
        let output = Command::new("id").args([flag, "postgres"]).output().expect("id runs");
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().unwrap_or_else(|error| panic!("no user `postgres` ({error}): run `cargo xtask prepare`"))
    };
    if own.uid() == 0 { (id("-u"), id("-g")) } else { (own.uid(), own.gid()) }
}

/// One of PostgreSQL's programs, in a folder that its user may read.
fn program(name: &str, folder: &Path) -> Command {
    let path = Path::new(PROGRAMS).join(name);
    assert!(path.exists(), "no {}: run `cargo xtask prepare`", path.display());
    let mut command = Command::new(path);
    command.current_dir(folder);
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn url(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres")
}

/// Whether it takes connections; it does not when it ends first.
fn answers(postmaster: &mut Child, home: &Path, port: u16) -> bool {
    let (url, end) = (url(port), Instant::now() + START_DEADLINE);
    while postmaster.try_wait().expect("it can be asked").is_none() {
        if program("pg_isready", home).args(["--quiet", "--dbname", &url]).status().expect("pg_isready runs").success() {
            return true;
        }
        assert!(Instant::now() < end, "PostgreSQL does not answer: {}", log(home));
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn postmaster(home: &Path, port: u16, settings: &[(String, String)]) -> Child {
    let (owner, plugins) = (owner_of(home), knows(home, PLUGINS.0).then_some(PLUGINS));
    let mut command = program("postgres", home);
    command.uid(owner.0).gid(owner.1).args(["-D", "data", "-p", &port.to_string()]);
    let settings = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in ALWAYS.into_iter().chain(plugins).chain(settings) {
        command.args(["-c", &format!("{name}={value}")]);
    }
    let log = File::create(home.join("log")).expect("a log");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("PostgreSQL runs")
}

/// Whether this version has a setting.
fn knows(home: &Path, setting: &str) -> bool {
    let output = program("postgres", home).arg("--describe-config").output().expect("PostgreSQL says its settings");
    String::from_utf8_lossy(&output.stdout).lines().any(|line| line.split('\t').next() == Some(setting))
}

fn log(home: &Path) -> String {
    std::fs::read_to_string(home.join("log")).unwrap_or_default()
}
