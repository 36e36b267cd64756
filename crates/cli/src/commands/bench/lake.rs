//! What the records of a run weigh once they are in the lake.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Subject;
use crate::out::Failure;

const DEADLINE: Duration = Duration::from_secs(600);

/// Waits until a snapshot holds everything, then weighs the Parquet files in the folder of the node that was started.
pub(super) async fn weigh(subject: &Subject, records: u64, since: Instant) -> Result<Value, Failure> {
    let spawned = subject.spawned.as_ref().ok_or_else(|| Failure::usage("--until-archived needs a node of its own"))?;
    archived(subject).await?;
    let archived_after = since.elapsed().as_secs_f64();
    let files = parquet_bytes(spawned.folder())?;
    let bytes: u64 = files.iter().sum();
    Ok(json!({
        "files": files.len(), "bytes_per_record": bytes as f64 / records as f64, "seconds_behind_the_last_ack": archived_after,
    }))
}

/// Waits until a snapshot holds everything.
pub(super) async fn archived(subject: &Subject) -> Result<(), Failure> {
    let client = subject.target.connect().await?;
    let end = Instant::now() + DEADLINE;
    while client.status().await?.shards.iter().any(|shard| shard.archived_seq < shard.tail_seq) {
        if Instant::now() > end {
            return Err(Failure::refused("not everything was archived in ten minutes"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

fn parquet_bytes(folder: &Path) -> std::io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(parquet_bytes(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "parquet") {
            found.push(path.metadata()?.len());
        }
    }
    Ok(found)
}
