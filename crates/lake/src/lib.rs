//! watershed-lake
