//! A `watershed serve` process on free ports.

#![expect(clippy::print_stderr, reason = "a failed test shows what the server said")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use watershed_client::Client;

use crate::curl;

const START_DEADLINE: Duration = Duration::from_secs(60);

/// Killed by its process id when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// `http://…` of gRPC.
    pub grpc: String,
    /// `http://…` of HTTP.
    pub http: String,
}

impl Server {
    /// Starts a node over `dir`; returns when it is ready.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(dir: &Path, flags: &[&str]) -> Self {
        Self::start_with(dir, flags, &[]).expect("the server starts")
    }

    /// Starts a node with environment variables; `None` when it ended before it was ready.
    ///
    /// # Panics
    /// When there is no binary.
    #[must_use]
    pub fn start_with(dir: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Option<Self> {
        let binary = crate::target().join("debug/watershed");
        assert!(binary.exists(), "no binary at {}: run `cargo xtask test`", binary.display());
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data-dir").arg(dir);
        for address in ["--grpc-addr", "--http-addr"].iter().filter(|address| !flags.contains(*address)) {
            command.args([*address, "127.0.0.1:0"]);
        }
        command.args(flags);
        command.envs(environment.iter().copied()).stderr(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().expect("the binary runs");
        let lines = BufReader::new(child.stderr.take().expect("piped"));
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Some(address) = line.split("OTEL_EXPORTER_OTLP_ENDPOINT=").nth(1) {
                    drop(tell.send(address.split(' ').next().unwrap_or_default().to_owned()));
                }
                eprintln!("server: {line}");
            }
        });
        let mut server = Self { child, grpc: String::new(), http: String::new() };
        server.grpc = told.recv_timeout(START_DEADLINE).ok()?;
        server.http = told.recv_timeout(START_DEADLINE).ok()?;
        Some(server)
    }

    /// Runs the command line against the node: what it printed, and how it ended.
    ///
    /// # Panics
    /// When there is no binary.
    #[must_use]
    pub fn cli(&self, words: &[&str]) -> (String, Output) {
        let mut command = Command::new(crate::target().join("debug/watershed"));
        let output = command.args(words).env("WATERSHED_ENDPOINT", &self.grpc).output().expect("the binary runs");
        (String::from_utf8_lossy(&output.stdout).into_owned(), output)
    }

    /// A client of tenant `default`.
    ///
    /// # Panics
    /// When it cannot connect.
    pub async fn client(&self) -> Client {
        Client::connect(&self.grpc).await.expect("connects")
    }

    /// A sample of its `/metrics`, 0 when it is not there.
    ///
    /// # Panics
    /// When it is not a number.
    #[must_use]
    pub fn metric(&self, name: &str) -> f64 {
        let metrics = curl::get(&format!("{}/metrics", self.http)).body;
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// When there is nothing to kill.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM.
    ///
    /// # Panics
    /// When there is no process.
    pub fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn ended(mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// Whether it runs.
    ///
    /// # Panics
    /// When it cannot be asked.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
