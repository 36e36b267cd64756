//! The Rust client of Watershed: publish, subscribe, query.
//!
//! Must not know any server crate.
//!
//! ```no_run
//! # async fn run() -> Result<(), watershed_client::Error> {
//! let client = watershed_client::Client::connect("http://127.0.0.1:4317").await?.with_tenant("shop")?;
//! let batches = client.query("SELECT count(*) FROM events").await?;
//! # drop(batches);
//! # Ok(())
//! # }
//! ```

pub mod analytics;
mod backoff;
mod client;
mod cluster;
mod continuity;
mod dead_letters;
mod error;
mod lake;
mod live;
mod position;
mod query;
mod start;
mod subscription;
mod subscriptions;

pub use client::{Client, MESSAGE_BYTES_MAX, Published};
pub use cluster::ClusterAdmin;
pub use error::Error;
pub use lake::LakeReader;
pub use live::{LiveQuery, LiveRows, LiveStream};
pub use query::QueryStream;
pub use start::{NoStart, Start};
pub use subscription::{Item, Lost, Subscription};
pub use subscriptions::{Change, Subscriber, Subscriptions};
pub use watershed_schema::proto::{
    CohortEntry, CohortRequest, CohortResponse, Coverage, EventStep, FunnelGroup, FunnelRequest, FunnelResponse, FunnelStep,
    Progress, RatioRequest, RatioResponse, TrackPoint, TrackRequest, TrackResponse,
};
pub use watershed_schema::proto::{
    DeadLetter, DeadLetterRow, DescribeClusterResponse, DescribeLakeResponse, Event, Filter, GapReason, LakeFile, LakePartition,
    LakeRange, LakeSnapshot, ListFilesResponse, NodeStatus, OnLag, Purged, Replayed, ReplicaStatus, ShardStatus, StatusResponse,
    UpkeepStep,
};

/// Stubs of the services of `proto/`; the servers are there for tests and for whoever wants to stand in for us.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::perf,
    clippy::allow_attributes_without_reason,
    clippy::missing_errors_doc,
    clippy::too_many_lines,
    clippy::semicolon_if_nothing_returned,
    reason = "generated from proto/, documented there"
)]
pub mod services {
    tonic::include_proto!("watershed.v1");
}
