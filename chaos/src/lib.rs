//! A driver in the manner of Jepsen: real nodes in network namespaces, a nemesis, and a set checker.
//!
//! It must not know how Watershed works inside: it talks to it as its users do, and breaks what is around it.

pub mod checker;
pub mod cluster;
pub mod fault;
pub mod history;
pub mod iceberg;
pub mod nemesis;
pub mod prove;
pub mod random;
pub mod report;
pub mod run;
pub mod schedule;
pub mod settle;
pub mod sql;
pub mod workload;
