//! Ranges of a stored file.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use iceberg::Result;
use iceberg::io::FileRead;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::failed;

pub(super) struct Reader {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) key: Path,
}

#[async_trait]
impl FileRead for Reader {
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        self.store.get_range(&self.key, range).await.map_err(|error| failed(self.key.as_ref(), error))
    }
}
