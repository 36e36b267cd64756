//! Plays Kubernetes for one StatefulSet: pods are processes with a network, a root and a name of their own.
//!
//! It must not know Watershed: it reads manifests and does what they say, or says that it cannot.

pub mod environment;
pub mod manifest;

pub mod board;
pub mod hosts;
pub mod isolation;
pub mod network;
pub mod pod;
pub mod probe;
pub mod process;
pub mod proxy;
pub mod scenario;
pub mod shell;
pub mod stateful_set;
pub mod volumes;
