//! watershed-catalog
