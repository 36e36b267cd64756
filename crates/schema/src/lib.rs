//! watershed-schema
