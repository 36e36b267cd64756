//! Where the lake's files live: Iceberg's storage over `object_store`.
//!
//! On this machine a written file is durable when it is closed: the file and the folders above it are fsynced, which
//! `object_store` does not do by itself. Files appear whole (written aside, then renamed); parts of big ones are of
//! equal size, which R2 demands.

mod reading;
mod writing;

use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use iceberg::io::{
    FileIO, FileIOBuilder, FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig, StorageFactory,
};
use iceberg::{Error, ErrorKind, Result};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};

/// Files of this machine; locations are `file:///…` or absolute paths.
#[must_use]
pub fn local() -> FileIO {
    FileIOBuilder::new(Arc::new(LocalFiles)).build()
}

/// Builds [`ObjectStorage`] over the local file system.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct LocalFiles;

#[typetag::serde(name = "watershed_local_files")]
impl StorageFactory for LocalFiles {
    fn build(&self, _: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(ObjectStorage::default()))
    }
}

/// Storage over an object store; today always the local one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct ObjectStorage {
    #[serde(skip)]
    store: Local,
}

#[derive(Clone, Debug)]
struct Local(Arc<dyn ObjectStore>);

impl Default for Local {
    fn default() -> Self {
        Self(Arc::new(LocalFileSystem::new()))
    }
}

impl Deref for Local {
    type Target = Arc<dyn ObjectStore>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Key of a location in the store.
fn key(location: &str) -> Result<Path> {
    let local = location.strip_prefix("file://").or_else(|| location.strip_prefix("file:")).unwrap_or(location);
    Path::parse(local.trim_start_matches('/')).map_err(|error| failed(location, error))
}

fn failed(location: &str, error: impl Into<anyhow::Error>) -> Error {
    Error::new(ErrorKind::Unexpected, format!("storage: {location}")).with_source(error)
}

#[async_trait]
#[typetag::serde(name = "watershed_object_storage")]
impl Storage for ObjectStorage {
    async fn exists(&self, path: &str) -> Result<bool> {
        match self.store.head(&key(path)?).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed(path, error)),
        }
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        let meta = self.store.head(&key(path)?).await.map_err(|error| failed(path, error))?;
        Ok(FileMetadata { size: meta.size })
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        let got = self.store.get(&key(path)?).await.map_err(|error| failed(path, error))?;
        got.bytes().await.map_err(|error| failed(path, error))
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        Ok(Box::new(reading::Reader { store: Arc::clone(&self.store), key: key(path)? }))
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        let mut writer = self.writer(path).await?;
        writer.write(bytes).await?;
        writer.close().await
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn FileWrite>> {
        Ok(Box::new(writing::Writer::new(Arc::clone(&self.store), key(path)?)))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        match self.store.delete(&key(path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(path, error)),
        }
    }

    async fn delete_prefix(&self, path: &str) -> Result<()> {
        let found = self.store.list(Some(&key(path)?)).map_ok(|meta| meta.location).boxed();
        let deleted = self.store.delete_stream(found).try_for_each(|_| futures::future::ok(())).await;
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
