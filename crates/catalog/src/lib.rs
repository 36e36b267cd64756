//! An `iceberg::Catalog` in one SQLite file, with the table layout of PyIceberg's `SqlCatalog`, so that it opens the same file.
//!
//! Must not know shards, watermarks or columns. The compare-and-swap is one `UPDATE … WHERE metadata_location = previous`.

mod catalog;
mod db;

pub use catalog::SqliteCatalog;
