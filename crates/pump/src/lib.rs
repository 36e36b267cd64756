//! Changes of a PostgreSQL database, from a logical replication slot to a node's `/v1/cdc`.
//!
//! Delivery is at least once: the slot is advanced to the end of a transaction only after the node has answered for all of
//! it. A transaction that was sent in part is sent again from its beginning after a restart; the node recognises its
//! changes by their places in PostgreSQL's log. Must not know any other room: it speaks PostgreSQL's streaming replication
//! protocol on one side, HTTP on the other.
//!
//! The stream is PostgreSQL's own (`START_REPLICATION`), not repeated `pg_logical_slot_peek_changes`: that function decodes
//! everything since the slot's restart point at every call and returns a transaction only whole. The replication crates that
//! there are (`pgwire-replication` 0.5 and others) speak to `pgoutput` only, so the few messages are read here, with the
//! protocol crate of `tokio-postgres`. <https://www.postgresql.org/docs/current/protocol-replication.html>
//!
//! ```no_run
//! # async fn example() -> Result<(), watershed_pump::PumpError> {
//! let settings = watershed_pump::Settings::new("postgres://repl:secret@db/shop", "watershed", "http://127.0.0.1:4318");
//! let report = watershed_pump::run(settings, async { /* until Ctrl-C */ }).await?;
//! println!("{} changes", report.changes);
//! # Ok(())
//! # }
//! ```

mod address;
mod batch;
mod connection;
mod error;
mod lsn;
mod node;
mod replication;
mod session;
mod settings;
mod slot;
mod waits;

use std::future::Future;

use futures::FutureExt as _;

pub use error::{PumpError, ServerError};
pub use lsn::Lsn;
pub use settings::Settings;

use session::Session;

/// What a run of the pump did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Changes that a node took, those it knew already included.
    pub changes: u64,
    /// Changes that a node will never take, see [`Settings::skip_rejected`].
    pub rejected: u64,
    /// Requests that were answered.
    pub requests: u64,
    /// Up to where the slot was told to advance.
    pub confirmed: Lsn,
}

/// Pumps until `shutdown` is ready; then what is on its way gets a few seconds to be answered. Lost connections on either
/// side are opened again, for as long as it takes.
///
/// # Errors
/// A [`PumpError`] that waiting does not cure: settings, permissions, a missing slot or plugin, a request the node refuses.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()> + Send) -> Result<Report, PumpError> {
    let shutdown = shutdown.shared();
    let mut session = Session::new(settings)?;
    let mut waits = session.waits();
    loop {
        let before = session.report();
        let Err(error) = session.run(shutdown.clone()).await else { return Ok(session.report()) };
        if !error.is_retryable() {
            return Err(error);
        }
        if session.report() != before {
            waits = session.waits();
        }
        let wait = waits.next_wait();
        tracing::warn!(%error, ?wait, "the pump stops for a while");
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.clone() => return Ok(session.report()),
        }
    }
}
