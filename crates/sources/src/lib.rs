//! Raw formats in, `(EventBatch, rejects)` out. Pure functions: no clock, no IO, no randomness.
//!
//! Must not know shards, storage or the network.

mod browser;
pub mod cdc;
mod context;
pub mod do_action;
pub mod do_event;
mod ids;
mod json;
pub mod native;
pub mod native_json;
pub mod otlp;
pub mod redact;
pub mod registry;
pub mod replay;
mod rows;
pub mod segment;
pub mod snippet;
mod system;
pub mod tail;
mod trace_context;
pub mod web_vitals;

pub(crate) use context::Fault;
pub use context::{Context, InvalidRequest, Reject, Rejects, Transformed};
