//! Raw formats in, `(EventBatch, rejects)` out. Pure functions: no clock, no IO, no randomness.
//!
//! Must not know shards, storage or the network.

mod context;
pub mod do_action;
pub mod do_event;
mod ids;
mod json;
pub mod native;
pub mod native_json;
pub mod otlp;
pub mod registry;
mod rows;
pub mod segment;
mod system;
mod trace_context;

pub(crate) use context::Fault;
pub use context::{Context, InvalidRequest, Reject, Rejects, Transformed};
