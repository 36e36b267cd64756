//! `workerd`, the runtime of Cloudflare Workers, with a worker and the tail worker behind it.

#![expect(clippy::print_stderr, reason = "a failed test shows what the workers said")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

const START_DEADLINE: Duration = Duration::from_secs(60);

/// Killed by its process id when dropped.
#[derive(Debug)]
pub struct Workerd {
    child: Child,
    /// `http://…` of the worker.
    pub url: String,
}

impl Workerd {
    /// Starts `foreign/workerd`; the tail worker sends to `endpoint`. Returns when the worker can be called.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(endpoint: &str) -> Self {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/workerd/config.capnp");
        let mut command = Command::new(crate::target().join("foreign/node/node_modules/workerd/bin/workerd"));
        // The port that it was given comes on standard output, and then what the workers print.
        command.args(["serve", "--experimental", "--control-fd=1"]).arg(config).env("ENDPOINT", endpoint);
        let spawned = command.stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}: run `cargo xtask prepare`"));
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(port) = port(&line) {
                    drop(tell.send(port));
                }
                eprintln!("workerd: {line}");
            }
        });
        let mut workerd = Self { child, url: String::new() };
        let port = told.recv_timeout(START_DEADLINE).expect("workerd listens");
        workerd.url = format!("http://127.0.0.1:{port}");
        workerd
    }
}

/// Of `{"event":"listen","socket":"http","port":1}`.
fn port(line: &str) -> Option<String> {
    serde_json::from_str::<Value>(line).ok()?["port"].as_u64().map(|port| port.to_string())
}

impl Drop for Workerd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
