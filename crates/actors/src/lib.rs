//! Who owns what, who tells whom, and when: ingest, shard, subscriber and archiver actors, byte budgets, supervision.
//!
//! Must not know gRPC, SQL or any source format.

mod archive;
mod budget;
mod ingest;
mod node;
mod shard;
mod store;
mod subscriber;
mod supervisor;

pub use budget::{Budget, Busy, Permit};
pub use ingest::Ingested;
pub use node::{Node, Settings, StartError};
pub use shard::{AppendError, Appended, Page, ReadError, ShardHandle};
pub use subscriber::{Cursor, Step, Subscriber};
