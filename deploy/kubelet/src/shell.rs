//! Programs of the system, run to their end; and what the player has to say.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::Context as _;

/// Runs a program with words that are split at spaces.
///
/// # Errors
/// When it cannot be run or fails; with what it printed.
pub fn run(line: &str) -> anyhow::Result<()> {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    finish(command.args(words)).with_context(|| line.to_owned())
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be run or fails; with what it printed.
pub fn finish(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    anyhow::ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Starts a line of shell.
///
/// # Errors
/// When there is no shell.
pub fn start(line: &str) -> anyhow::Result<Child> {
    say(&format!("runs: {line}"));
    Command::new("sh").args(["-c", line]).stdin(Stdio::null()).spawn().context("sh")
}

/// Sends a signal, like `TERM`, to a process that may be gone.
///
/// # Errors
/// When there is no such process.
pub fn signal(pid: u32, name: &str) -> anyhow::Result<()> {
    run(&format!("kill -{name} {pid}"))
}

/// Makes a file a mount of another one.
///
/// # Errors
/// When it cannot be mounted.
pub fn bind(from: &Path, to: &Path) -> anyhow::Result<()> {
    finish(Command::new("mount").arg("--bind").arg(from).arg(to)).with_context(|| to.display().to_string())
}

/// Prints a line with the seconds since the first one.
#[expect(clippy::print_stderr, reason = "a program for people")]
pub fn say(line: &str) {
    static START: OnceLock<Instant> = OnceLock::new();
    eprintln!("{:8.2} s  {line}", START.get_or_init(Instant::now).elapsed().as_secs_f64());
}
