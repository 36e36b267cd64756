//! watershed-actors
