//! Where a subscription starts in each shard.

use watershed_actors::{Cursor, ReadError, ShardHandle};
use watershed_hot::ScanRequest;
use watershed_lake::ShardRows;
use watershed_schema::proto::subscribe_request::Start;
use watershed_schema::{Column, Row, Seq, TenantId, Value};

use super::Streams;
use crate::refusal::Refusal;

/// Finds the starts of one tenant's stream.
pub(super) struct Starts<'a> {
    pub(super) streams: &'a Streams,
    pub(super) tenant: &'a TenantId,
}

impl Starts<'_> {
    /// Cursors of every shard that may hold the tenant's events, now or later.
    pub(super) async fn cursors(
        &self,
        start: Option<Start>,
        resume: impl FnOnce(&[u8]) -> Result<Vec<Cursor>, Refusal>,
    ) -> Result<Vec<Cursor>, Refusal> {
        let resumed = match &start {
            Some(Start::ResumeToken(token)) => resume(token)?,
            _ => Vec::new(),
        };
        let node = &self.streams.node;
        let homes = node.fresh_ring().await.map_err(unavailable)?.query_shards(self.tenant, None);
        let mut cursors = Vec::new();
        for shard in node.shards().iter().filter(|shard| homes.contains(&shard.id())) {
            let known = resumed.iter().find(|cursor| cursor.shard == shard.id()).map(|cursor| cursor.next);
            let next = match (&start, known) {
                (Some(Start::ResumeToken(_)), Some(next)) => within(shard, next).await?,
                (Some(Start::ResumeToken(_)), None) => Seq::FIRST,
                (Some(Start::Earliest(_)), _) if self.streams.engine.has_lake() => Seq::FIRST,
                (Some(Start::Earliest(_)), _) => shard.read_index().await.map_err(unavailable)?.trimmed(),
                (Some(Start::TimestampUs(from_us)), _) => self.first_at(shard, *from_us).await?,
                (Some(Start::Now(_)) | None, _) => shard.read_index().await.map_err(unavailable)?.tail(),
            };
            cursors.push(Cursor { shard: shard.id(), next });
        }
        Ok(cursors)
    }

    /// The first event at or after a time: in the lake where the hot tier begins later, else in the hot tier.
    async fn first_at(&self, shard: &ShardHandle, from_us: i64) -> Result<Seq, Refusal> {
        let tail = shard.read_index().await.map_err(unavailable)?.tail();
        let mut next = Seq::FIRST;
        while next < tail {
            let request = ScanRequest { tenant: Some(self.tenant.clone()), min_ts_us: Some(from_us), ..ScanRequest::from(next) };
            let page = match shard.read(request).await {
                Ok(page) => page,
                Err(ReadError::Trimmed { first: to }) => {
                    let tenant = self.tenant.clone();
                    let trimmed = ShardRows { tenant, shard: shard.id(), from: next, to, from_us: Some(from_us) };
                    if let Some(seq) = self.streams.engine.first_in_lake(trimmed).await? {
                        return Ok(seq);
                    }
                    next = to;
                    continue;
                }
                Err(error) => return Err(unavailable(error)),
            };
            for (first, batch) in &page.blocks {
                let found = batch.rows().enumerate().map(|(index, row)| (Seq(first.0 + index as u64), row));
                if let Some((seq, _)) = found.filter(|(seq, _)| *seq >= next).find(|(_, row)| is_late(row, from_us)) {
                    return Ok(seq);
                }
            }
            next = page.next;
        }
        Ok(tail)
    }
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

fn is_late(row: &Row<'_>, from_us: i64) -> bool {
    row.get(Column::Timestamp).ok().flatten().and_then(Value::as_int).is_some_and(|at| at >= from_us)
}
