//! Takes connections. Each handshake has a task and a deadline of its own, so a silent client delays nobody.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::handshake::accept;
use crate::home::Home;
use crate::limits::HANDSHAKES_MAX;

/// Wait after `accept` failed, which it does when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Runs until it is aborted; handshakes under way end with it.
pub(crate) async fn run(home: Arc<Home>, listener: TcpListener) {
    let mut handshakes = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((tcp, remote)) => {
                while handshakes.try_join_next().is_some() {}
                if handshakes.len() >= HANDSHAKES_MAX {
                    tracing::warn!(%remote, limit = HANDSHAKES_MAX, "too many connections are in the handshake, closed one");
                    continue;
                }
                let home = Arc::clone(&home);
                handshakes.spawn(async move {
                    match accept(&home, tcp).await {
                        Ok(outcome) => tracing::debug!(%remote, ?outcome, "handshake done"),
                        Err(error) => tracing::warn!(%remote, "no connection: {error}"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
