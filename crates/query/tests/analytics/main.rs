//! Analytics over real batches and a real Iceberg table, held against an oracle that was written from the text of the
//! semantics, not from the code.

mod cohort;
mod funnel;
mod limits;
mod remote;
#[path = "../sets/sets.rs"]
mod sets;
mod sql;
mod track;
mod world;
