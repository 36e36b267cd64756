//! Questions to a container: how they are asked, and when an answer counts.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::manifest::Probe;

/// A probe and its answers in a row.
#[derive(Debug)]
pub struct Prober {
    probe: Probe,
    next: Instant,
    successes: u64,
    failures: u64,
}

/// What a probe has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Enough successes in a row.
    Good,
    /// Enough failures in a row; the last one.
    Bad(String),
}

impl Prober {
    /// Begins to count at `now`.
    #[must_use]
    pub fn new(probe: &Probe, now: Instant) -> Self {
        Self { next: now + Duration::from_secs(probe.initial_delay_seconds), probe: probe.clone(), successes: 0, failures: 0 }
    }

    /// Asks if it is time to.
    pub fn tick(&mut self, now: Instant, ask: impl FnOnce(&Probe) -> anyhow::Result<()>) -> Option<Verdict> {
        if now < self.next {
            return None;
        }
        self.next = now + Duration::from_secs(self.probe.period_seconds);
        match ask(&self.probe) {
            Ok(()) => {
                (self.successes, self.failures) = (self.successes + 1, 0);
                (self.successes >= self.probe.success_threshold).then_some(Verdict::Good)
            }
            Err(error) => {
                (self.successes, self.failures) = (0, self.failures + 1);
                (self.failures >= self.probe.failure_threshold).then(|| Verdict::Bad(format!("{error:#}")))
            }
        }
    }
}

/// An HTTP GET; 200 to 399 is a success.
///
/// # Errors
/// When there is no answer in time, or another one.
pub fn http_get(address: Ipv4Addr, port: u16, path: &str, limit: Duration) -> anyhow::Result<()> {
    let mut stream = connect(address, port, limit)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\nConnection: close\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let code: u16 = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    anyhow::ensure!((200..400).contains(&code), "{path} answers {}", line.trim());
    Ok(())
}

/// A connection with deadlines.
///
/// # Errors
/// When nobody listens.
pub fn connect(address: Ipv4Addr, port: u16, limit: Duration) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from((address, port)), limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    Ok(stream)
}

/// A program; 0 within the limit is a success.
///
/// # Errors
/// When it cannot be run, fails, or takes too long.
pub fn exec(command: &mut Command, limit: Duration) -> anyhow::Result<()> {
    let mut child = command.spawn()?;
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            anyhow::ensure!(status.success(), "{status}");
            return Ok(());
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            anyhow::bail!("no end within {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prober(now: Instant) -> Prober {
        let json = r#"{"httpGet": {"path": "/", "port": 1}, "periodSeconds": 2, "failureThreshold": 2}"#;
        Prober::new(&serde_json::from_str(json).expect("a probe"), now)
    }

    #[test]
    fn failures_count_in_a_row() {
        let start = Instant::now();
        let (mut prober, bad) = (prober(start), |_: &Probe| Err(anyhow::anyhow!("no")));
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(prober.tick(at(0), bad), None);
        assert_eq!(prober.tick(at(1), |_| panic!("too early")), None);
        assert_eq!(prober.tick(at(2), |_| Ok(())), Some(Verdict::Good));
        assert_eq!(prober.tick(at(4), bad), None);
        assert_eq!(prober.tick(at(6), bad), Some(Verdict::Bad("no".to_owned())));
    }
}
