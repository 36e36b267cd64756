//! A node of our own binary, on free ports, over a folder that goes with it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

use crate::out::Failure;

/// Ended by its handle when dropped.
pub(crate) struct Spawned {
    child: Child,
    folder: tempfile::TempDir,
    endpoint: String,
}

impl Spawned {
    /// Its gRPC address.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts a node in the working directory's file system, not in a memory file system: durability is measured.
pub(crate) fn start(set: &[String]) -> Result<Spawned, Failure> {
    let folder = tempfile::tempdir_in(".")?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--data-dir"]).arg(folder.path());
    set.iter().for_each(|pair| drop(command.args(["--set", pair]).get_args()));
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(child.stderr.take().context("stderr is piped")?).lines();
    let mut spawned = Spawned { child, folder, endpoint: String::new() };
    let found = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.split("OTEL_EXPORTER_OTLP_ENDPOINT=").nth(1).map(str::to_owned));
    spawned.endpoint = found.context("the node did not start")?;
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Ok(spawned)
}
