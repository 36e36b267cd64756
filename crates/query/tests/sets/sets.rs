//! Random sets of events, questions about them, and what the semantics say; for the tests of an engine and of a cluster.

pub(crate) mod cohort;
pub(crate) mod event;
pub(crate) mod funnel;
mod oracle;
#[path = "../support/random.rs"]
pub(crate) mod random;
pub(crate) mod ratio;
pub(crate) mod track;
