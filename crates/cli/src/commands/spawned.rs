//! Nodes of our own binary, on free ports.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, anyhow};

use crate::out::Failure;

/// A node, ended by its handle when dropped.
pub(crate) struct Process {
    child: Child,
    endpoint: String,
}

impl Process {
    /// Its gRPC address.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A node over a folder that goes with it.
pub(crate) struct Spawned {
    process: Process,
    folder: tempfile::TempDir,
}

impl Spawned {
    /// Its gRPC address.
    pub(crate) fn endpoint(&self) -> &str {
        self.process.endpoint()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Starts a node in the working directory's file system, not in a memory file system: durability is measured.
pub(crate) fn start(set: &[String]) -> Result<Spawned, Failure> {
    let folder = tempfile::tempdir_in(".")?;
    Ok(Spawned { process: launch(folder.path(), set, &[])?, folder })
}

/// Starts a node over a folder; returns when it serves.
pub(crate) fn launch(data_dir: &Path, set: &[String], environment: &[(&str, String)]) -> Result<Process, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
    command.args(set.iter().flat_map(|pair| ["--set", pair])).envs(environment.iter().map(|(name, value)| (name, value)));
    let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let mut process = Process { child, endpoint: String::new() };
    let mut lines = BufReader::new(process.child.stderr.take().context("stderr is piped")?).lines().map_while(Result::ok);
    process.endpoint = endpoint(&mut lines).map_err(|said| anyhow!("the node did not start; it said: {said}"))?;
    std::thread::spawn(move || lines.for_each(drop));
    Ok(process)
}

/// Where a node says that it serves; else what it said last.
fn endpoint(lines: &mut impl Iterator<Item = String>) -> Result<String, String> {
    let mut last = String::new();
    for line in lines {
        match line.split("OTEL_EXPORTER_OTLP_ENDPOINT=").nth(1) {
            Some(endpoint) => return Ok(endpoint.to_owned()),
            None if line.trim().is_empty() => {}
            None => last = line,
        }
    }
    Err(last)
}
