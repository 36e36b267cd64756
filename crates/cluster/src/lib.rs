//! Which shard owns what, where its replicas stand, how they agree.
//!
//! Must not know SQLite, ractor or tonic.

mod control;
mod group;
mod placement;
mod ring;
mod transport;

pub use control::{Control, ControlView, Node, Seen, Step, next_step};
pub use group::{
    Applied, Base, Done, Group, GroupError, LeaderWatch, Leadership, Pulse, Replica, ReplicaStore, Role, StateMachine, Status,
};
pub use placement::{Member, place};
pub use ring::Ring;
pub use transport::{Call, NoPeers, RaftCall, SHARED_BODY_BYTES_MAX, Transport, TransportError};
