//! Where the lake's files live: Iceberg's storage over `object_store`, in folders of this machine or in S3 buckets.
//!
//! On this machine a written file is durable when it is closed: the file and the folders above it are fsynced, which
//! `object_store` does not do by itself. Files appear whole (written aside, then renamed; in a bucket by one request or
//! a multipart upload); parts of big ones are of equal size, which R2 demands. No conditional write is needed: a name
//! holds its writer's term or a UUID, and what is current is said by the catalog alone.

mod credentials_file;
mod places;
mod reading;
mod s3;
mod writing;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use iceberg::io::{
    FileIO, FileIOBuilder, FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig, StorageFactory,
};
use iceberg::{Error, ErrorKind, Result};
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};

pub use places::Place;
pub use s3::{Keys, S3};

use crate::cache::Cache;
use crate::filter_cache::FilterCache;
use crate::turns::Turns;
use places::Places;

/// Files of this machine; locations are `file:///…` or absolute paths.
#[must_use]
pub fn local() -> FileIO {
    Files::default().io()
}

/// Files of this machine and of buckets (`s3://bucket/key`). Clones share their connections, what was read of files that never
/// change, and turns: who writes files has many rows in memory.
#[derive(Clone, Debug, Default)]
pub struct Files {
    places: Places,
    cache: Cache,
    turns: Turns,
}

impl Files {
    /// Files of buckets that are reached like this.
    #[must_use]
    pub fn new(s3: S3) -> Self {
        Self { places: Places::new(s3), ..Self::default() }
    }

    /// The same files with another bound of what is kept in memory of them, in bytes; 0 = nothing.
    #[must_use]
    pub fn with_cache(self, bytes_max: usize) -> Self {
        Self { cache: Cache { disk: self.cache.disk, ..Cache::new(bytes_max) }, ..self }
    }

    /// The same files, of which bloom filters are kept in a folder of this machine, too, so that they outlive the process;
    /// no more than so many bytes, with 0 nothing. A folder that cannot be used is told in the log, and nothing is kept.
    #[must_use]
    pub fn with_filter_cache(mut self, folder: &Path, bytes_max: usize) -> Self {
        let opened = (bytes_max > 0).then(|| FilterCache::open(folder, bytes_max as u64)).transpose();
        let opened = opened.inspect_err(|error| {
            tracing::warn!(folder = %folder.display(), %error, "filters cannot be kept: lookups read them from the lake");
        });
        self.cache.disk = opened.ok().flatten().map(Arc::new);
        self
    }

    /// The same files, those of this machine by way of another store.
    #[must_use]
    pub fn with_local(self, store: Arc<dyn ObjectStore>) -> Self {
        Self { places: self.places.with_local(store), ..self }
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// For a catalog with one storage for all its tables.
    #[must_use]
    pub fn io(&self) -> FileIO {
        FileIOBuilder::new(self.factory()).build()
    }

    /// For a catalog that makes a [`FileIO`] for each table, maybe with credentials that it lends.
    #[must_use]
    pub fn factory(&self) -> Arc<dyn StorageFactory> {
        Arc::new(Factory { places: self.places.clone(), cache: self.cache.clone() })
    }

    /// Where a file of a table is, for those who read it by themselves; `io` is the table's.
    ///
    /// # Errors
    /// When the location is of an unknown kind, or the settings of its bucket cannot be used.
    pub fn find(&self, io: &FileIO, location: &str) -> Result<Place> {
        self.places.vended(io.config().props()).find(location)
    }
}

/// Builds [`ObjectStorage`]; all that it builds share their connections.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Factory {
    /// Holds keys, so it never leaves the process.
    #[serde(skip)]
    places: Places,
    #[serde(skip)]
    cache: Cache,
}

#[typetag::serde(name = "watershed_files")]
impl StorageFactory for Factory {
    fn build(&self, config: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(ObjectStorage { places: self.places.vended(config.props()), cache: self.cache.clone() }))
    }
}

/// Storage over object stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct ObjectStorage {
    #[serde(skip)]
    places: Places,
    #[serde(skip)]
    cache: Cache,
}

/// Metadata of tables: small, read by every query, never written twice under one name.
fn is_kept(path: &str) -> bool {
    path.ends_with(".avro") || path.ends_with(".metadata.json")
}

pub(crate) fn failed(location: &str, error: impl Into<anyhow::Error>) -> Error {
    Error::new(ErrorKind::Unexpected, format!("storage: {location}")).with_source(error)
}

#[async_trait]
#[typetag::serde(name = "watershed_object_storage")]
impl Storage for ObjectStorage {
    async fn exists(&self, path: &str) -> Result<bool> {
        let at = self.places.find(path)?;
        match at.store.head(&at.key).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed(path, error)),
        }
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        let at = self.places.find(path)?;
        let meta = at.store.head(&at.key).await.map_err(|error| failed(path, error))?;
        Ok(FileMetadata { size: meta.size })
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        if let Some(kept) = self.cache.metadata.get(path).await {
            return Ok(kept);
        }
        let at = self.places.find(path)?;
        let got = at.store.get(&at.key).await.map_err(|error| failed(path, error))?;
        let bytes = got.bytes().await.map_err(|error| failed(path, error))?;
        if is_kept(path) {
            self.cache.metadata.insert(path.to_owned(), bytes.clone()).await;
        }
        Ok(bytes)
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        let Place { store, key, .. } = self.places.find(path)?;
        Ok(Box::new(reading::Reader { store, key }))
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        let mut writer = self.writer(path).await?;
        writer.write(bytes).await?;
        writer.close().await
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn FileWrite>> {
        Ok(Box::new(writing::Writer::new(self.places.find(path)?)))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.cache.metadata.invalidate(path).await;
        if let Some(disk) = &self.cache.disk {
            disk.forget(path).await;
        }
        let at = self.places.find(path)?;
        match at.store.delete(&at.key).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(path, error)),
        }
    }

    async fn delete_prefix(&self, path: &str) -> Result<()> {
        let at = self.places.find(path)?;
        let found = at.store.list(Some(&at.key)).map_ok(|meta| meta.location).boxed();
        let deleted = at.store.delete_stream(found).try_for_each(|_| futures::future::ok(())).await;
        deleted.map_err(|error| failed(path, error))
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> Result<()> {
        while let Some(path) = paths.next().await {
            self.delete(&path).await?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}
