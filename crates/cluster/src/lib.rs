//! watershed-cluster
