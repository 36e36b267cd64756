//! Builds, wires, serves, drains. Empty so far.
//!
//! Must not know any rule of the domain.
