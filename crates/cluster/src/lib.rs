//! Which shard owns what, where its replicas stand, how they agree.
//!
//! Must not know SQLite, ractor or tonic.

mod control;
mod group;
mod placement;
mod ring;

pub use control::{Control, ControlView, Node, Seen, Step, next_step};
pub use group::{Applied, Done, Group, GroupError, ReplicaStore, StateMachine};
pub use placement::{Member, place};
pub use ring::Ring;
