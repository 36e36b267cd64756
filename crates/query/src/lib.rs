//! watershed-query
