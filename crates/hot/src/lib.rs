//! One shard replica on one disk: its log, scans over it, trim. One SQLite file.
//!
//! Must not know other shards, the network, actors or tokio.

mod entry;
mod error;
mod reader;
mod scan;
mod store;
mod writer;

pub use error::HotError;
pub use scan::{Block, ScanPage, ScanRequest};
pub use store::{Base, Options, Stats, Store};
pub use writer::Done;
