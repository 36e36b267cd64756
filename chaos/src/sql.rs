//! Everything of a tenant by SQL through one node.

use std::time::Duration;

use anyhow::Context as _;
use arrow::array::AsArray as _;
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use tokio::time::timeout;
use watershed_client::Client;

use crate::checker::Row;
use crate::workload::id_of;

const DEADLINE: Duration = Duration::from_secs(15);

/// Everything that is there.
///
/// # Errors
/// When the node does not answer in time, or says no.
pub async fn read(endpoint: &str, tenant: &str) -> anyhow::Result<Vec<Row>> {
    let batches = ask(endpoint, tenant, "SELECT span_id, _shard, _seq FROM events").await?;
    Ok(batches.iter().flat_map(rows).collect())
}

/// How many rows meet `condition`, for example `WHERE _tier = 'hot'`.
///
/// # Errors
/// When the node does not answer in time, or says no.
pub async fn count(endpoint: &str, tenant: &str, condition: &str) -> anyhow::Result<usize> {
    let batches = ask(endpoint, tenant, &format!("SELECT count(*) FROM events {condition}")).await?;
    let first = batches.iter().find(|batch| batch.num_rows() > 0).context("no row")?;
    Ok(first.column(0).as_primitive::<Int64Type>().value(0).try_into()?)
}

async fn ask(endpoint: &str, tenant: &str, statement: &str) -> anyhow::Result<Vec<RecordBatch>> {
    let asked = async {
        let client = Client::connect(endpoint).await?.with_tenant(tenant)?;
        anyhow::Ok(client.query(statement).await?)
    };
    timeout(DEADLINE, asked).await.context("no answer")?
}

/// A row without an id, or a place, is nobody's: it shows as a phantom.
fn rows(batch: &RecordBatch) -> Vec<Row> {
    let ids = batch.column(0).as_string::<i32>();
    let shards = batch.column(1).as_primitive::<Int32Type>();
    let seqs = batch.column(2).as_primitive::<Int64Type>();
    let row = |((id, shard), seq): ((Option<&str>, Option<i32>), Option<i64>)| Row {
        id: id.and_then(id_of).unwrap_or(u64::MAX),
        shard: shard.and_then(|shard| shard.try_into().ok()).unwrap_or(u32::MAX),
        seq: seq.and_then(|seq| seq.try_into().ok()).unwrap_or_default(),
    };
    ids.iter().zip(shards).zip(seqs).map(row).collect()
}
