//! Where a subscription starts in each shard.

use watershed_actors::{Cursor, Node, ReadError, ShardHandle};
use watershed_hot::ScanRequest;
use watershed_schema::proto::subscribe_request::Start;
use watershed_schema::{Column, Seq, TenantId, Value};

use crate::refusal::Refusal;

/// Cursors of every shard that may hold the tenant's events, now or later.
pub(crate) async fn cursors(
    node: &Node,
    tenant: &TenantId,
    start: Option<Start>,
    resume: impl FnOnce(&[u8]) -> Result<Vec<Cursor>, Refusal>,
) -> Result<Vec<Cursor>, Refusal> {
    let resumed = match &start {
        Some(Start::ResumeToken(token)) => resume(token)?,
        _ => Vec::new(),
    };
    let homes = node.fresh_ring().await.map_err(unavailable)?.query_shards(tenant, None);
    let mut cursors = Vec::new();
    for shard in node.shards().iter().filter(|shard| homes.contains(&shard.id())) {
        let known = resumed.iter().find(|cursor| cursor.shard == shard.id()).map(|cursor| cursor.next);
        let next = match (&start, known) {
            (Some(Start::ResumeToken(_)), Some(next)) => within(shard, next).await?,
            (Some(Start::ResumeToken(_)), None) => Seq::FIRST,
            (Some(Start::Earliest(_)), _) => shard.read_index().await.map_err(unavailable)?.trimmed(),
            (Some(Start::TimestampUs(from_us)), _) => first_at(shard, tenant, *from_us).await?,
            (Some(Start::Now(_)) | None, _) => shard.read_index().await.map_err(unavailable)?.tail(),
        };
        cursors.push(Cursor { shard: shard.id(), next });
    }
    Ok(cursors)
}

fn unavailable(error: ReadError) -> Refusal {
    Refusal::Unavailable(error.to_string())
}

/// A token from the future belongs to another history of this shard. This replica may be behind the one that gave it.
async fn within(shard: &ShardHandle, next: Seq) -> Result<Seq, Refusal> {
    let here = shard.positions().tail();
    let tail = if next <= here { here } else { shard.read_index().await.map_err(unavailable)?.tail() };
    let ahead = || Refusal::Invalid(format!("resume_token: shard {} is at {tail}, the token at {next}", shard.id()));
    if next <= tail { Ok(next) } else { Err(ahead()) }
}

async fn first_at(shard: &ShardHandle, tenant: &TenantId, from_us: i64) -> Result<Seq, Refusal> {
    let now = shard.read_index().await.map_err(unavailable)?;
    let (tail, mut next) = (now.tail(), now.trimmed());
    while next < tail {
        let request = ScanRequest { tenant: Some(tenant.clone()), min_ts_us: Some(from_us), ..ScanRequest::from(next) };
        let page = match shard.read(request).await {
            Ok(page) => page,
            Err(ReadError::Trimmed { first }) => {
                next = first;
                continue;
            }
            Err(error) => return Err(unavailable(error)),
        };
        let late = |row: &watershed_schema::Row<'_>| {
            row.get(Column::Timestamp).ok().flatten().and_then(Value::as_int).is_some_and(|at| at >= from_us)
        };
        for (first, batch) in &page.blocks {
            let found = batch.rows().enumerate().map(|(index, row)| (Seq(first.0 + index as u64), row));
            if let Some((seq, _)) = found.filter(|(seq, _)| *seq >= next).find(|(_, row)| late(row)) {
                return Ok(seq);
            }
        }
        next = page.next;
    }
    Ok(tail)
}
