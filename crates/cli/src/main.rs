//! The program `watershed`. So far it only says that there is no server yet.

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "a program for people")]
fn main() -> ExitCode {
    eprintln!("watershed {}: there is no server in this version yet, see README.md", env!("CARGO_PKG_VERSION"));
    ExitCode::from(2)
}
