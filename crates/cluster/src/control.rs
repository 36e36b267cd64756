//! The control group: who belongs to the cluster, which nodes hold which shard, which tenants are spread.
//!
//! [`Control`] is what its log amounts to, the same on every node; [`next_step`] says what the controller on its
//! leader should do next. Both are pure: the log, the clock and the network are others'.

mod plan;
mod state;

pub use plan::{Seen, Step, next_step};
pub use state::{Control, ControlView, Node};
