//! Data goes to stdout, everything else to stderr; what ends the program has an exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use watershed_client::Error;

/// Why the program ends without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server, or the node, said no: 1.
    Refused(anyhow::Error),
    /// Wrong usage: 2.
    Usage(anyhow::Error),
    /// Nobody answers: 3.
    Unreachable(anyhow::Error),
}

impl Failure {
    pub(crate) fn report(&self) -> ExitCode {
        let (error, code) = match self {
            Self::Refused(error) => (error, 1),
            Self::Usage(error) => (error, 2),
            Self::Unreachable(error) => (error, 3),
        };
        say(&format!("watershed: {error:#}"));
        ExitCode::from(code)
    }

    pub(crate) fn usage(text: &str) -> Self {
        Self::Usage(anyhow::anyhow!("{text}"))
    }

    pub(crate) fn refused(text: &str) -> Self {
        Self::Refused(anyhow::anyhow!("{text}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::Endpoint(_) | Error::Tenant(_) => Self::Usage(error.into()),
            Error::Unreachable(_) => Self::Unreachable(error.into()),
            _ => Self::Refused(error.into()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Refused(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Refused(error.into())
    }
}

/// A line for people.
pub(crate) fn say(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Data. A reader that went away ends the program quietly.
pub(crate) fn data(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()).and_then(|()| io::stdout().lock().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other,
    }
}
