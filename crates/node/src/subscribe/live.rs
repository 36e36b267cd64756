//! A live query: a subscription whose events are folded into windows here; the client gets rows.
//!
//! Time is the events' own. It goes with the newest event that was read, less the allowed lateness, and no further than the
//! clock on the wall: one event from tomorrow closes nothing. As long as a shard reads what was there when the query began,
//! time waits for it. When nothing comes for a window's length and the lateness, the windows that are over close.
//!
//! A token is in everything that is told. With it another node computes the open windows again, from the events' first on, and
//! goes on: each window is told once, with all its events.

mod place;
mod start;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt as _;
use futures::stream::{BoxStream, Stream as FuturesStream};
use tokio::time::{Instant, Interval};
use watershed_query::Windows;
use watershed_schema::{Column, Row, Seq, ShardId, Value, proto};

use super::draining::{Source, until_drained};
use super::matching::Found;
use super::{PASSED_OVER_MAX, Tokens};
use crate::clock::now_us;
use crate::drain::Drain;
use crate::refusal::Refusal;
use place::Places;

pub(crate) use place::{LivePlace, ShardPlace};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(100);

/// What is asked for.
pub(crate) struct LiveAsked {
    pub(crate) sql: String,
    pub(crate) every: Duration,
    pub(crate) lateness: Duration,
    /// Which events are read at all, and from where.
    pub(crate) request: proto::SubscribeRequest,
}

/// What has come.
#[derive(Debug)]
pub(crate) struct LiveTold {
    /// Rows of windows that closed; none when only a number has changed.
    pub(crate) rows: Vec<RecordBatch>,
    /// Events so far that came after their window was closed.
    pub(crate) late: u64,
    /// Events so far that neither tier has any longer.
    pub(crate) lost: u64,
    /// Resumes behind it.
    pub(crate) token: Vec<u8>,
}

/// A live query that runs.
pub(crate) struct Live {
    steps: Pin<Box<dyn FuturesStream<Item = Result<Progress, Refusal>> + Send>>,
    windows: Windows,
    every: Duration,
    lateness_us: i64,
    time: EventTime,
    ticks: Interval,
    /// When an event came last.
    came: Instant,
    lost: u64,
    places: Places,
    /// Whether it reads again what was read before: until then no window closes.
    is_resuming: bool,
    tokens: Tokens,
    query_hash: u64,
    /// Late and lost events, and positions, at the last message.
    told: (u64, u64),
    told_positions: u64,
}

/// A step, and which shards have not read yet what was there in the beginning.
pub(super) struct Progress {
    pub(super) shard: ShardId,
    pub(super) found: Vec<Found>,
    /// Positions that are not delivered.
    pub(super) lost: std::ops::Range<Seq>,
    /// Behind the last that was read.
    pub(super) to: Seq,
    pub(super) behind: Vec<ShardId>,
}

/// How far the events' time has come.
#[derive(Debug, Default)]
struct EventTime {
    newest: BTreeMap<ShardId, i64>,
    behind: Vec<ShardId>,
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Source for Live {
    type Told = LiveTold;

    fn next(&mut self) -> impl Future<Output = Result<LiveTold, Refusal>> + Send {
        self.rows()
    }
}

impl Live {
    pub(crate) fn schema(&self) -> SchemaRef {
        self.windows.schema()
    }

    /// Resumes where it stands.
    pub(crate) fn token(&mut self) -> Vec<u8> {
        let place = self.places.token(self.windows.closed_us(), (self.windows.late(), self.lost));
        self.tokens.write_live(&place, self.query_hash)
    }

    /// What comes, until the node drains.
    pub(crate) fn told(self, drain: Drain) -> BoxStream<'static, Result<LiveTold, Refusal>> {
        until_drained(self, drain).boxed()
    }

    async fn rows(&mut self) -> Result<LiveTold, Refusal> {
        loop {
            let closed = tokio::select! {
                step = self.steps.next() => self.folded(step.expect("invariant: a subscription ends with a refusal")?)?,
                _ = self.ticks.tick() => self.ticked()?,
            };
            let (late, lost) = (self.windows.late(), self.lost);
            let positions = self.places.positions();
            if !closed.is_empty() || self.told != (late, lost) || positions - self.told_positions >= PASSED_OVER_MAX {
                (self.told, self.told_positions) = ((late, lost), positions);
                return Ok(LiveTold { rows: closed, late, lost, token: self.token() });
            }
        }
    }

    fn folded(&mut self, Progress { shard, found, lost, to, behind }: Progress) -> Result<Vec<RecordBatch>, Refusal> {
        self.lost += self.places.lost(shard, (lost.start, lost.end));
        self.is_resuming &= !behind.is_empty();
        self.time.behind = behind;
        for one in &found {
            self.came = Instant::now();
            let mut counts = Vec::new();
            for (_, seq, row) in one.rows(shard) {
                let at = time_of(&row);
                self.time.saw(shard, at);
                counts.push(self.places.saw((shard, seq), at));
            }
            let rows = one.rows(shard).zip(counts).filter(|(_, counts)| *counts).map(|(row, _)| row);
            self.windows.add(rows)?;
        }
        self.places.read(shard, to);
        self.close_by_events()
    }

    fn ticked(&mut self) -> Result<Vec<RecordBatch>, Refusal> {
        let is_idle = self.time.behind.is_empty()
            && self.came.elapsed() >= self.every + Duration::from_micros(self.lateness_us.cast_unsigned());
        match self.windows.end_us() {
            Some(end) if is_idle => Ok(self.windows.close(end.min(now_us()))?),
            _ => self.close_by_events(),
        }
    }

    fn close_by_events(&mut self) -> Result<Vec<RecordBatch>, Refusal> {
        let Some(newest) = self.time.newest().filter(|_| !self.is_resuming) else { return Ok(Vec::new()) };
        Ok(self.windows.close(newest.min(now_us()).saturating_sub(self.lateness_us))?)
    }
}

impl EventTime {
    fn saw(&mut self, shard: ShardId, at: i64) {
        let newest = self.newest.entry(shard).or_insert(at);
        *newest = at.max(*newest);
    }

    /// Of all shards, or of that which is furthest behind.
    fn newest(&self) -> Option<i64> {
        let behind = self.behind.iter().map(|shard| self.newest.get(shard).copied());
        let all = self.newest.values().max().copied();
        behind.chain([all]).min().flatten()
    }
}

/// Every event has a time: the batch was checked when it was born.
fn time_of(row: &Row<'_>) -> i64 {
    row.get(Column::Timestamp).ok().flatten().and_then(Value::as_int).unwrap_or(i64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_waits_for_who_is_behind() {
        let mut time = EventTime { newest: BTreeMap::new(), behind: vec![ShardId(1)] };
        assert_eq!(time.newest(), None, "nothing is known");
        time.newest.insert(ShardId(0), 100);
        assert_eq!(time.newest(), None, "shard 1 has not begun");
        time.newest.insert(ShardId(1), 40);
        assert_eq!(time.newest(), Some(40));
        time.behind.clear();
        assert_eq!(time.newest(), Some(100));
    }
}
