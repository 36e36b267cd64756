//! The connection between the nodes of a cluster: who is there, and calls with deadlines.
//!
//! Must not know Raft, shards, SQL or gRPC: a call is a kind, a group and bytes.
//!
//! ```text
//! dial / accept ─▶ TLS ─▶ Hello, proof ─▶ peer actor: which connection ─▶ actor library's session ─▶ heartbeats, calls
//!     our sockets           hello.rs          election.rs                     link.rs                  session.rs
//! ```
//!
//! The actor library logs payloads at `debug`: keep `ractor_cluster` at `info`.

mod config;
mod directory;
mod election;
mod error;
mod fabric;
mod gateway;
mod handshake;
mod hello;
mod home;
pub mod limits;
mod link;
mod listener;
mod peer;
mod proof;
mod service;
mod session;
mod socket;
mod tls;
mod wire;

pub use config::{Config, Security};
pub use error::{CallError, CertificateError, DialError, Refusal, RefusalCode, StartError};
pub use fabric::Fabric;
pub use hello::{BootId, PROTOCOL_VERSION};
pub use peer::{PeerState, SessionState};
pub use service::{Refused, Request, Service};
