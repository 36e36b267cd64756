//! watershed-sources
