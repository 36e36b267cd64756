//! The words of Watershed: columns, rows, batches, positions, limits, and their form on the wire.
//!
//! Must not know who uses them, IO, time or tokio.

pub mod arrow;
pub mod batch;
mod columns;
pub mod event_json;
mod event_type;
mod filter;
mod ids;
pub mod limits;
mod log;
pub mod payload;
mod positions;
mod row;
pub mod topic;
pub mod wire;
mod writer;

pub use batch::{BatchBuilder, BatchError, EventBatch, OpenError, Shared};
pub use columns::{Column, Kind, Origin, Spec};
pub use event_type::{EVENT_TYPES, EventType};
pub use filter::{KeyFilter, key_hash, name_hash};
pub use ids::{Epoch, GroupId, InvalidTenant, Lsn, NodeId, Seq, ShardId, TenantId, Term};
pub use log::{EntryKind, LogRecord};
pub use positions::Positions;
pub use row::{ColumnSet, Projection, Row, Value, Walk};
pub use writer::{EventWriter, KeyValueWriter};

/// Messages of `proto/`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::perf,
    clippy::missing_errors_doc,
    reason = "generated from proto/, documented there"
)]
pub mod wire_messages {
    include!(concat!(env!("OUT_DIR"), "/protos.rs"));
}

pub use wire_messages::watershed::v1 as proto;

/// All of `proto/` as an encoded `FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
