//! A live query: a subscription whose events are folded into windows here; the client gets rows.
//!
//! Time is the events' own. It goes with the newest event that was read, less the allowed lateness, and no further than the
//! clock on the wall: one event from tomorrow closes nothing. As long as a shard reads what was there when the query began,
//! time waits for it. When nothing comes for a window's length and the lateness, the windows that are over close.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream, Stream as FuturesStream};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use watershed_query::{LiveLimits, LiveQuery, Windows};
use watershed_schema::{Column, ShardId, TenantId, Value, proto};

use super::Streams;
use super::matching::Found;
use super::pace::Pace;
use crate::clock::now_us;
use crate::drain::Drain;
use crate::refusal::Refusal;

/// Shortest and longest window.
const EVERY_MIN: Duration = Duration::from_millis(100);
const EVERY_MAX: Duration = Duration::from_hours(24);
/// Longest lateness.
const LATENESS_MAX: Duration = Duration::from_hours(24);
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
    told: (u64, u64),
}

/// A step, and which shards have not read yet what was there in the beginning.
pub(super) struct Progress {
    pub(super) shard: ShardId,
    pub(super) found: Vec<Found>,
    pub(super) lost: u64,
    pub(super) behind: Vec<ShardId>,
}

/// How far the events' time has come.
#[derive(Debug, Default)]
struct EventTime {
    newest: BTreeMap<ShardId, i64>,
    behind: Vec<ShardId>,
}

impl Streams {
    /// Starts a live query.
    pub(crate) async fn live(&self, tenant: TenantId, asked: LiveAsked) -> Result<Live, Refusal> {
        let LiveAsked { sql, every, lateness, request } = asked;
        within("every", every, EVERY_MIN, EVERY_MAX)?;
        within("lateness", lateness, Duration::ZERO, LATENESS_MAX)?;
        let query = LiveQuery::compile(&sql).await?;
        let mut stream = self.open(tenant, request).await?;
        // Its limit is for events that go out.
        stream.pace = Pace::new(0, 1);
        let behind = stream.behind(&self.node);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Live {
            time: EventTime { newest: BTreeMap::new(), behind: behind.iter().map(|cursor| cursor.shard).collect() },
            steps: Box::pin(stream.steps(behind)),
            windows: Windows::new(query, micros(every), LiveLimits::default()),
            every,
            lateness_us: micros(lateness),
            ticks,
            came: Instant::now(),
            lost: 0,
            told: (0, 0),
        })
    }
}

fn within(field: &str, asked: Duration, min: Duration, max: Duration) -> Result<(), Refusal> {
    if (min..=max).contains(&asked) {
        return Ok(());
    }
    Err(Refusal::Invalid(format!("{field} is {} ms, must be {} to {} ms", asked.as_millis(), min.as_millis(), max.as_millis())))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Live {
    pub(crate) fn schema(&self) -> SchemaRef {
        self.windows.schema()
    }

    /// What comes, until the node drains.
    pub(crate) fn told(self, drain: Drain) -> BoxStream<'static, Result<LiveTold, Refusal>> {
        let rest = stream::unfold(Some((self, drain)), |state| async move {
            let (mut live, drain) = state?;
            let next = tokio::select! {
                biased;
                () = drain.begun() => Err(Refusal::Unavailable("the node is draining, ask another".to_owned())),
                next = live.next() => next,
            };
            match next {
                Ok(told) => Some((Ok(told), Some((live, drain)))),
                Err(refusal) => Some((Err(refusal), None)),
            }
        });
        rest.boxed()
    }

    async fn next(&mut self) -> Result<LiveTold, Refusal> {
        loop {
            let closed = tokio::select! {
                step = self.steps.next() => self.folded(step.expect("invariant: a subscription ends with a refusal")?)?,
                _ = self.ticks.tick() => self.ticked()?,
            };
            let (late, lost) = (self.windows.late(), self.lost);
            if !closed.is_empty() || self.told != (late, lost) {
                self.told = (late, lost);
                return Ok(LiveTold { rows: closed, late, lost });
            }
        }
    }

    fn folded(&mut self, Progress { shard, found, lost, behind }: Progress) -> Result<Vec<RecordBatch>, Refusal> {
        self.lost += lost;
        self.time.behind = behind;
        for one in &found {
            self.came = Instant::now();
            for index in &one.wanted {
                self.time.saw(shard, one, *index);
            }
            self.windows.add(one.rows(shard))?;
        }
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
        let Some(newest) = self.time.newest() else { return Ok(Vec::new()) };
        Ok(self.windows.close(newest.min(now_us()).saturating_sub(self.lateness_us))?)
    }
}

impl EventTime {
    fn saw(&mut self, shard: ShardId, found: &Found, index: usize) {
        // Every event has a time: the batch was checked when it was born.
        let at = found.batch.row(index).get(Column::Timestamp).ok().flatten().and_then(Value::as_int).unwrap_or(i64::MIN);
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
