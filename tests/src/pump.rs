//! A `watershed cdc postgres` process.

use std::io::Read as _;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Killed by its process id when dropped.
#[derive(Debug)]
pub struct Pump(Child);

impl Pump {
    /// Starts a pump from `url` to the node at `http`.
    ///
    /// # Panics
    /// When there is no binary.
    #[must_use]
    pub fn start(url: &str, slot: &str, http: &str, flags: &[&str]) -> Self {
        let mut command = Command::new(crate::target().join("debug/watershed"));
        // The URL may hold a password: it does not belong on a command line.
        command.env("WATERSHED_POSTGRES_URL", url).args(["cdc", "postgres", "--slot", slot, "--to", http]).args(flags);
        command.stderr(Stdio::piped()).stdout(Stdio::null());
        Self(command.spawn().expect("the binary runs: run `cargo xtask test`"))
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// When there is nothing to kill.
    pub fn kill(mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }

    /// SIGTERM, then [`Self::ended`].
    ///
    /// # Panics
    /// When there is no process.
    #[must_use]
    pub fn terminate(self) -> (ExitStatus, String) {
        let sent = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        self.ended()
    }

    /// Waits for its end; what it said.
    ///
    /// # Panics
    /// When it cannot be waited for.
    #[must_use]
    pub fn ended(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        self.0.stderr.take().expect("piped").read_to_string(&mut said).expect("UTF-8");
        (self.0.wait().expect("it ends"), said)
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
