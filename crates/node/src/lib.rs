//! watershed-node
