//! The lake: batches in, snapshots out, and the watermark up to which each shard is in it.
//!
//! Must not know SQLite, actors or gRPC.

mod commit;
mod error;
mod paths;
mod pinned_catalog;
mod read;
pub mod schema;
pub mod storage;
mod table;
mod write;

pub use commit::{CommitRequest, Committed, StagedRange};
pub use error::LakeError;
pub use paths::FileName;
pub use read::{FileFilter, FileToRead, Pinned};
pub use table::{Lake, Watermark};
pub use write::StagedFile;
