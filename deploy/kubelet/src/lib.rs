//! Plays Kubernetes for one StatefulSet: pods are processes with a network, a root and a name of their own.
//!
//! It must not know Watershed: it reads manifests and does what they say, or says that it cannot.

pub mod environment;
pub mod manifest;
