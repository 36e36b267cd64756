//! Data goes to stdout, everything else to stderr; what ends the program has an exit code.

use std::io::{self, Write};
use std::process::ExitCode;

/// Why the program ends without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server, or the node, said no: 1.
    Refused(anyhow::Error),
    /// Wrong usage: 2.
    Usage(anyhow::Error),
}

impl Failure {
    pub(crate) fn report(&self) -> ExitCode {
        let (error, code) = match self {
            Self::Refused(error) => (error, 1),
            Self::Usage(error) => (error, 2),
        };
        say(&format!("watershed: {error:#}"));
        ExitCode::from(code)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// A line for people.
pub(crate) fn say(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Data. A reader that went away is no failure.
pub(crate) fn data(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
