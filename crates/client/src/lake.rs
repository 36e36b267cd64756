//! What is in the lake: snapshots, files, partitions.

use watershed_schema::proto;

use crate::Error;
use crate::client::Service;
use crate::services::lake_service_client::LakeServiceClient;

/// Reads what the lake says of itself.
#[derive(Clone, Debug)]
pub struct LakeReader {
    service: LakeServiceClient<Service>,
    table: String,
}

impl LakeReader {
    pub(crate) fn new(service: LakeServiceClient<Service>) -> Self {
        Self { service: service.max_decoding_message_size(ANSWER_BYTES_MAX), table: String::new() }
    }

    /// The same for a tenant's own table, as `events_acme`; empty: the one that all others share.
    #[must_use]
    pub fn table(self, name: &str) -> Self {
        Self { table: name.to_owned(), ..self }
    }

    /// Snapshots that are not expired, newest first.
    ///
    /// # Errors
    /// [`Error::Status`].
    pub async fn snapshots(&self) -> Result<Vec<proto::LakeSnapshot>, Error> {
        let request = proto::ListSnapshotsRequest { table: self.table.clone() };
        Ok(self.service.clone().list_snapshots(request).await?.into_inner().snapshots)
    }

    /// Files of a snapshot (0: the newest) whose partition begins like this; at most `limit` of them (0: 1 000).
    ///
    /// # Errors
    /// [`Error::Status`].
    pub async fn files(&self, snapshot_id: i64, partition_prefix: &str, limit: u32) -> Result<proto::ListFilesResponse, Error> {
        let (partition_prefix, table) = (partition_prefix.to_owned(), self.table.clone());
        let request = proto::ListFilesRequest { snapshot_id, partition_prefix, limit, table };
        Ok(self.service.clone().list_files(request).await?.into_inner())
    }

    /// What each partition of a snapshot (0: the newest) holds, and which tables there are.
    ///
    /// # Errors
    /// [`Error::Status`].
    pub async fn partitions(&self, snapshot_id: i64) -> Result<proto::DescribeLakeResponse, Error> {
        let request = proto::DescribeLakeRequest { snapshot_id, table: self.table.clone() };
        Ok(self.service.clone().describe_lake(request).await?.into_inner())
    }
}

/// A hundred thousand files with their paths.
const ANSWER_BYTES_MAX: usize = 64 << 20;
