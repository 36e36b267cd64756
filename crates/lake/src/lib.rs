//! The lake: batches in, snapshots out, and the watermark up to which each shard is in it.
//!
//! Must not know SQLite, actors or gRPC.

mod cache;
mod commit;
mod compact;
mod contents;
mod data_file;
mod dead_letters;
mod delete;
mod encoding;
mod error;
mod evolve;
mod expire;
mod named;
mod orphans;
mod part_file;
mod partitioning;
mod past;
mod paths;
mod pinned_catalog;
mod read;
mod repartition;
mod replay;
pub mod rest;
mod rows;
pub mod schema;
mod secret;
mod staged;
pub mod storage;
mod table;
mod waits;
mod write;

pub use cache::CACHE_BYTES_DEFAULT;
pub use commit::{CommitRequest, Committed, StagedRange};
pub use compact::{Compacted, CompactionLimits, Updates, updates_by};
pub use contents::{FileInfo, PartitionInfo, partitions};
pub use dead_letters::DeadLetters;
pub use delete::{Deleted, Doomed};
pub use error::LakeError;
pub use expire::{Expired, SnapshotRetention};
pub use orphans::{OrphanRule, Orphans};
pub use partitioning::{Partitioning, UnknownPartitioning};
pub use past::{Moment, SnapshotInfo};
pub use paths::FileName;
pub use read::{FileFilter, FileOfShard, FileToRead, Pinned, ShardRows};
pub use rows::Rows;
pub use secret::Secret;
pub use table::{Lake, Watermark};
pub use write::StagedFile;
