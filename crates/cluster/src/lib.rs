//! Which shard owns what, where its replicas stand, how they agree.
//!
//! Must not know SQLite, ractor or tonic.

mod placement;
mod ring;

pub use placement::{Member, place};
pub use ring::Ring;
