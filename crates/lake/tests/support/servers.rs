//! Real servers that nobody here wrote, on free ports: an S3 server (moto), a REST catalog (rustberg), and PyIceberg.

#![allow(dead_code, reason = "not every test file needs all of it")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use watershed_lake::storage::{Keys, S3};

pub(crate) const BUCKET: &str = "lake";
/// These are started on a machine that is busy with other tests.
const START_MAX: Duration = Duration::from_secs(120);

/// What `cargo xtask prepare` installed.
fn foreign(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder").join("foreign").join(name);
    assert!(path.exists(), "{} is missing: run `cargo xtask prepare`", path.display());
    path
}

/// A child process; ended with the value.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn spawn(command: &mut Command, dir: &Path) -> Self {
        let log = dir.join("log");
        let file = File::create(&log).expect("a log");
        let child = command.current_dir(dir).stdout(Stdio::null()).stderr(file).spawn();
        Self { child: child.unwrap_or_else(|error| panic!("{command:?}: {error}")), log }
    }

    fn wait_for<T>(&mut self, what: &str, mut seen: impl FnMut(&str) -> Option<T>) -> T {
        let end = Instant::now() + START_MAX;
        loop {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            if let Some(found) = seen(&log) {
                return found;
            }
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none() && Instant::now() < end, "{what} did not start ({ended:?}): {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An S3 server with one bucket.
pub(crate) struct Moto {
    pub(crate) address: SocketAddr,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl Moto {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(foreign("python/bin/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", "0"]).env("PYTHONUNBUFFERED", "1");
        let mut process = Process::spawn(&mut command, dir.path());
        let address = process.wait_for("moto", |log| {
            log.split_once("Running on http://")?.1.split_once('\n')?.0.trim().parse::<SocketAddr>().ok()
        });
        assert_eq!(get(address, "PUT", &format!("/{BUCKET}")), Some(200), "the bucket is made");
        Self { address, _process: process, _dir: dir }
    }

    pub(crate) fn s3(&self) -> S3 {
        s3_at(self.address)
    }
}

/// S3 behind an address, with keys that moto does not check and little patience.
pub(crate) fn s3_at(address: SocketAddr) -> S3 {
    S3 {
        endpoint: Some(format!("http://{address}")),
        region: Some("us-east-1".to_owned()),
        keys: Keys::of("test", "test"),
        request_timeout: Duration::from_secs(5),
        retry_timeout: Duration::from_secs(20),
        ..S3::default()
    }
}

/// A REST catalog over the bucket, in memory.
pub(crate) struct Rustberg {
    pub(crate) address: SocketAddr,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl Rustberg {
    pub(crate) fn start(moto: &Moto) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let config = format!(
            "[rate_limit]\nenabled = false\n[storage.properties]\n\"s3.endpoint\" = \"http://{}\"\n\"s3.region\" = \"us-east-1\"\n\
             \"s3.path-style-access\" = \"true\"\n\"s3.access-key-id\" = \"test\"\n\"s3.secret-access-key\" = \"test\"\n",
            moto.address
        );
        std::fs::write(dir.path().join("config.toml"), config).expect("a file");
        let address = free();
        let mut command = Command::new(foreign("rustberg/bin/rustberg"));
        command.args(["-c", "config.toml", "--host", "127.0.0.1", "-p", &address.port().to_string()]);
        command.args(["--dev", "--insecure-http", "--no-auth", "--catalog-url", "memory://"]);
        command.args(["-w", &format!("s3://{BUCKET}/rest"), "--log-level", "warn"]).env("TMPDIR", dir.path());
        let mut process = Process::spawn(&mut command, dir.path());
        process.wait_for("rustberg", |_| get(address, "GET", "/ready").filter(|status| *status == 200));
        Self { address, _process: process, _dir: dir }
    }
}

/// A port that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port")
}

/// Status of the answer to a request without a body.
fn get(address: SocketAddr, method: &str, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(START_MAX)).ok()?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// Of the workspace, from whichever crate.
fn script(name: &str) -> PathBuf {
    let places = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("tests/foreign").join(name));
    places.into_iter().find(|place| place.exists()).expect("a script of the workspace")
}

/// What PyIceberg sees in the lake of a catalog with these properties.
pub(crate) fn pyiceberg(mut properties: Value, moto: Option<&Moto>) -> Value {
    let script = script("count_lake.py");
    if let Some(moto) = moto {
        properties["s3.endpoint"] = json!(format!("http://{}", moto.address));
        properties["s3.region"] = json!("us-east-1");
        properties["s3.access-key-id"] = json!("test");
        properties["s3.secret-access-key"] = json!("test");
    }
    let output = Command::new(foreign("python/bin/python")).arg(script).arg(properties.to_string()).output().expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}
