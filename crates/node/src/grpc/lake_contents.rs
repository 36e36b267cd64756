//! What the lake says of itself, on the wire.

use tonic::Status;
use watershed_lake::{FileInfo, Lake, LakeError, Moment, PartitionInfo, Pinned, SnapshotInfo};
use watershed_schema::proto;

use crate::refusal::Refusal;

const FILES_DEFAULT: u32 = 1_000;
/// Some 200 bytes each.
const FILES_MAX: u32 = 100_000;

pub(super) async fn snapshots(
    lake: Option<&Lake>,
    request: &proto::ListSnapshotsRequest,
) -> Result<proto::ListSnapshotsResponse, Status> {
    let table = there(lake)?.table(&request.table).await.map_err(refused)?;
    let snapshots = table.snapshots().await.map_err(refused)?;
    Ok(proto::ListSnapshotsResponse { snapshots: snapshots.into_iter().map(snapshot).collect() })
}

pub(super) async fn files(lake: Option<&Lake>, request: proto::ListFilesRequest) -> Result<proto::ListFilesResponse, Status> {
    let limit = match request.limit {
        0 => FILES_DEFAULT,
        limit if limit <= FILES_MAX => limit,
        limit => return Err(Refusal::Invalid(format!("limit: {limit} is more than {FILES_MAX}")).into()),
    };
    let pinned = pinned(there(lake)?, (&request.table, request.snapshot_id)).await?;
    let files = pinned.contents(&request.partition_prefix).await.map_err(refused)?;
    let (snapshot_id, files_total) = (pinned.snapshot_id.unwrap_or_default(), files.len() as u64);
    let files = files.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).map(file).collect();
    Ok(proto::ListFilesResponse { snapshot_id, files, files_total })
}

pub(super) async fn partitions(
    lake: Option<&Lake>,
    request: &proto::DescribeLakeRequest,
) -> Result<proto::DescribeLakeResponse, Status> {
    let lake = there(lake)?;
    let pinned = pinned(lake, (&request.table, request.snapshot_id)).await?;
    let files = pinned.contents("").await.map_err(refused)?;
    let partitions = watershed_lake::partitions(&files).into_iter().map(partition).collect();
    let tables = lake.tables().await.map_err(refused)?.iter().map(|table| table.name().to_owned()).collect();
    Ok(proto::DescribeLakeResponse { snapshot_id: pinned.snapshot_id.unwrap_or_default(), partitions, tables })
}

fn there(lake: Option<&Lake>) -> Result<&Lake, Status> {
    lake.ok_or_else(|| Status::failed_precondition("this node has no lake: lake.catalog is none"))
}

async fn pinned(lake: &Lake, (table, snapshot_id): (&str, i64)) -> Result<Pinned, Status> {
    let newest = lake.table(table).await.map_err(refused)?.pin().await.map_err(refused)?;
    if snapshot_id == 0 { Ok(newest) } else { newest.at(Moment::Snapshot(snapshot_id)).map_err(refused) }
}

fn refused(error: LakeError) -> Status {
    match error {
        LakeError::NoSnapshot { .. } | LakeError::UnknownTable { .. } => Status::not_found(error.to_string()),
        _ => Refusal::Unavailable(error.to_string()).into(),
    }
}

fn snapshot(one: SnapshotInfo) -> proto::LakeSnapshot {
    proto::LakeSnapshot {
        id: one.id,
        at_ms: one.at_ms,
        operation: one.operation,
        current: one.is_current,
        rows: one.rows,
        rows_added: one.rows_added,
        files: one.files,
        bytes: one.bytes,
        watermark: one.watermark.into_iter().map(|(shard, seq)| (u32::from(shard.0), seq.0)).collect(),
    }
}

fn file(one: FileInfo) -> proto::LakeFile {
    let range = |(from, to)| proto::LakeRange { from, to };
    proto::LakeFile {
        path: one.path,
        partition: one.partition,
        content: one.content.to_owned(),
        rows: one.rows,
        bytes: one.bytes,
        shards: one.shards.map(range),
        seqs: one.seqs.map(range),
        times_us: one.times_us.map(range),
    }
}

fn partition(one: PartitionInfo) -> proto::LakePartition {
    let PartitionInfo { partition, files, rows, bytes, delete_files } = one;
    proto::LakePartition { partition, files, rows, bytes, delete_files }
}
