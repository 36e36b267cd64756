//! The lake: batches in, snapshots out, and the watermark up to which each shard is in it.
//!
//! Must not know SQLite, actors or gRPC.

mod commit;
mod compact;
mod dead_letters;
mod delete;
mod encoding;
mod error;
mod evolve;
mod expire;
mod named;
mod orphans;
mod paths;
mod pinned_catalog;
mod read;
mod replay;
pub mod rest;
mod rows;
pub mod schema;
mod secret;
pub mod storage;
mod table;
mod waits;
mod write;

pub use commit::{CommitRequest, Committed, StagedRange};
pub use compact::{Compacted, CompactionLimits, Updates, updates_by};
pub use dead_letters::DeadLetters;
pub use delete::{Deleted, Doomed};
pub use error::LakeError;
pub use expire::{Expired, SnapshotRetention};
pub use orphans::{OrphanRule, Orphans};
pub use paths::FileName;
pub use read::{FileFilter, FileToRead, Pinned};
pub use rows::Rows;
pub use secret::Secret;
pub use table::{Lake, Watermark};
pub use write::StagedFile;
