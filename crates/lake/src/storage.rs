//! Where files live. Today iceberg's own local storage, which does not fsync; the place for `object_store`.

use std::sync::Arc;

use iceberg::io::{FileIO, FileIOBuilder, LocalFsStorageFactory};

/// Files of this machine; locations are `file:///…` or absolute paths.
#[must_use]
pub fn local() -> FileIO {
    FileIOBuilder::new(Arc::new(LocalFsStorageFactory)).build()
}
