//! Shards whose events are on other nodes. What is asked of them is read in pages; questions of analytics are aggregated
//! where the events are, so that states of a partial aggregate travel instead of events.
//!
//! ```text
//! asking node                                             node with the events
//! Final ─ Union ┬ Partial ─ lake, shards that are here
//!               └ RemoteStates ── PeerPartial, again ──▶  the same plan over a slice of the shard, as far as its Partial
//!                              ◀── PeerStates ──────────  states, and where to go on
//! ```

mod answer;
mod push;
mod scan;
mod slice;
mod states;

pub(crate) use push::push;
pub(crate) use scan::RemoteScan;
pub(crate) use slice::Slice;
