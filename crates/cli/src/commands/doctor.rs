//! `watershed doctor`: what would keep a node from running well here.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use watershed_node::Config;

use super::settings::Flags;
use crate::out::{self, Failure};

pub(crate) const EXAMPLES: &str = "Examples:\n  watershed doctor\n  watershed doctor --data-dir /var/lib/watershed";

/// Slower than this, and every acknowledgement is slow.
const FSYNC_SLOW: Duration = Duration::from_millis(20);
/// 2026-01-01: a clock before that was never set.
const CLOCK_MIN_SECONDS: u64 = 1_767_225_600;

enum Finding {
    Ok(String),
    Warn(String),
    Fail(String),
}

pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    let config = flags.load()?;
    let findings = [
        disk(&config.data_dir),
        clock(),
        port("grpc_addr", config.grpc_addr),
        port("http_addr", config.http_addr),
        catalog(&config),
    ];
    let mut failed = 0;
    for finding in findings {
        let (word, text) = match finding {
            Finding::Ok(text) => ("OK  ", text),
            Finding::Warn(text) => ("WARN", text),
            Finding::Fail(text) => {
                failed += 1;
                ("FAIL", text)
            }
        };
        out::data(&format!("{word}  {text}\n"))?;
    }
    if failed > 0 { Err(Failure::refused(&format!("{failed} checks failed"))) } else { Ok(()) }
}

/// Writes and fsyncs a file where the shards will be.
fn disk(folder: &Path) -> Finding {
    let shown = folder.display();
    let write = || -> std::io::Result<Duration> {
        fs::create_dir_all(folder)?;
        let path = folder.join("doctor.tmp");
        let mut file = fs::File::create(&path)?;
        let began = Instant::now();
        file.write_all(&[0; 16 * 1024])?;
        file.sync_all()?;
        let took = began.elapsed();
        fs::remove_file(path)?;
        Ok(took)
    };
    match write() {
        Ok(took) if took > FSYNC_SLOW => {
            Finding::Warn(format!("disk: {shown}: a durable write takes {took:.1?}, acknowledgements wait for it"))
        }
        Ok(took) => Finding::Ok(format!("disk: {shown}: a durable write takes {took:.1?}")),
        Err(error) => Finding::Fail(format!("disk: {shown}: {error}")),
    }
}

fn clock() -> Finding {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    if seconds < CLOCK_MIN_SECONDS {
        return Finding::Fail(format!("clock: says {seconds} seconds since 1970, which is long ago"));
    }
    Finding::Ok(format!("clock: {}", humantime::format_rfc3339_seconds(SystemTime::now())))
}

fn port(key: &str, address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_listener) => Finding::Ok(format!("{key}: {address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Finding::Warn(format!("{key}: {address} is in use; fine if that is the node itself"))
        }
        Err(error) => Finding::Fail(format!("{key}: {address}: {error}")),
    }
}

/// A catalog file begins as SQLite says.
fn catalog(config: &Config) -> Finding {
    let path = config.data_dir.join("lake/catalog.db");
    match fs::read(&path) {
        Ok(bytes) if bytes.starts_with(b"SQLite format 3\0") => Finding::Ok(format!("catalog: {}", path.display())),
        Ok(_) => Finding::Fail(format!("catalog: {} is no SQLite file", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Finding::Ok("catalog: will be made at the first start".to_owned())
        }
        Err(error) => Finding::Fail(format!("catalog: {}: {error}", path.display())),
    }
}
