//! Raw formats in, `(EventBatch, rejects)` out. Pure functions: no clock, no IO, no randomness.
//!
//! Must not know shards, storage or the network.

mod context;
mod ids;
pub mod native;
pub mod otlp;
mod system;

pub use context::{Context, InvalidRequest, Reject, Rejects, Transformed};
