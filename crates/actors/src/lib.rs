//! Who owns what, who tells whom, and when: ingest, shard, subscriber and archiver actors, byte budgets, supervision.
//!
//! Must not know gRPC, SQL or any source format.

mod archive;
mod background;
mod backlog;
mod budget;
mod control;
mod gateway;
mod ingest;
mod keeper;
mod members;
mod node;
mod operator;
mod peers;
mod route;
mod shard;
mod status;
mod store;
mod subscriber;
mod supervisor;
mod tick;

pub use archive::Upkeep;
pub use backlog::{Backlog, Failing};
pub use budget::{Budget, Busy, Permit};
pub use gateway::Gateway;
pub use ingest::Ingested;
pub use node::{Membership, Node, Settings, StartError};
pub use operator::Operator;
pub use peers::{Aggregates, Alone, Ask, Peers, Question};
pub use shard::{AppendError, Appended, Page, ReadError, Replica, ShardHandle};
pub use subscriber::{Cursor, Filter, FilterError, OnLag, Step, Subscriber};
