//! watershed-client
