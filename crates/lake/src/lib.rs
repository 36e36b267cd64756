//! Batches in, Iceberg snapshots out. Empty so far.
//!
//! Must not know SQLite, actors or gRPC.
