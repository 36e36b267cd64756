//! What asks the program to end.

use std::future::Future;
use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Ready at SIGTERM or Ctrl-C.
pub(crate) fn asked_to_end() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
