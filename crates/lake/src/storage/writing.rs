//! A file on its way into the store; durable when it is closed.

use std::fs::File;
use std::io;
use std::path::{Path as FilePath, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use iceberg::Result;
use iceberg::io::FileWrite;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use tokio::io::AsyncWriteExt;

use super::{Place, failed};

/// Smaller files are one request, bigger ones parts of this size.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts of one file that are on their way at once: what a file holds in memory is this many parts.
const PARTS_IN_FLIGHT: usize = 4;
/// `event_type=…`, `hour=…`, `data`, the table, the namespace: folders that a new file may have brought with it.
const FOLDERS_SYNCED: usize = 5;

pub(super) struct Writer {
    key: Path,
    is_local: bool,
    upload: BufWriter,
}

impl Writer {
    pub(super) fn new(Place { store, key, bucket }: Place) -> Self {
        let upload = BufWriter::with_capacity(store, key.clone(), PART_BYTES).with_max_concurrency(PARTS_IN_FLIGHT);
        Self { upload, key, is_local: bucket.is_none() }
    }
}

#[async_trait]
impl FileWrite for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.upload.put(bytes).await.map_err(|error| failed(self.key.as_ref(), error))
    }

    async fn close(&mut self) -> Result<()> {
        self.upload.shutdown().await.map_err(|error| failed(self.key.as_ref(), error))?;
        if !self.is_local {
            return Ok(());
        }
        let path = PathBuf::from(format!("/{}", self.key));
        let synced = tokio::task::spawn_blocking(move || sync(&path)).await;
        synced.map_err(io::Error::other).flatten().map_err(|error| failed(self.key.as_ref(), error))
    }
}

/// The bytes first, then the names that lead to them.
fn sync(path: &FilePath) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    path.ancestors().skip(1).take(FOLDERS_SYNCED).try_for_each(|folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use crate::storage::local;

    #[tokio::test]
    async fn what_was_written_is_read_whole_and_in_ranges() {
        let dir = tempfile::tempdir().unwrap();
        let io = local();
        for size in [0, 10, super::PART_BYTES * 2 + 77] {
            let path = format!("file://{}/a b/%2E%2E/{size}.bin", dir.path().display());
            let bytes: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
            io.new_output(&path).unwrap().write(bytes.clone().into()).await.unwrap();
            let input = io.new_input(&path).unwrap();
            assert_eq!(input.metadata().await.unwrap().size, size as u64);
            assert_eq!(input.read().await.unwrap(), bytes);
            if size > 10 {
                let read = input.reader().await.unwrap().read(7..size as u64 - 3).await.unwrap();
                assert_eq!(read, bytes[7..size - 3]);
            }
            assert!(io.exists(&path).await.unwrap());
            io.delete(&path).await.unwrap();
            assert!(!io.exists(&path).await.unwrap());
        }
        let left: Vec<_> = walk(dir.path());
        assert!(left.is_empty(), "nothing half-written stays: {left:?}");
    }

    fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
    }
}
