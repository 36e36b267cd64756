//! Who owns what, who tells whom, and when: so far the byte budget.
//!
//! Must not know gRPC, SQL or any source format.

mod budget;

pub use budget::{Budget, Busy, Permit};
