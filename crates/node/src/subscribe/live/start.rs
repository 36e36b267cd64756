//! Where a live query begins: at the events that are asked for, or where another left off.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use watershed_actors::Cursor;
use watershed_query::{LiveLimits, LiveQuery, Windows};
use watershed_schema::proto::subscribe_request::Start;
use watershed_schema::{TenantId, proto};

use super::place::{LivePlace, Places, ShardPlace};
use super::{EventTime, Live, LiveAsked, TICK, micros};
use crate::refusal::Refusal;
use crate::subscribe::pace::Pace;
use crate::subscribe::{Streams, hash};

/// Shortest and longest window.
const EVERY_MIN: Duration = Duration::from_millis(100);
const EVERY_MAX: Duration = Duration::from_hours(24);
/// Longest lateness.
const LATENESS_MAX: Duration = Duration::from_hours(24);
/// How long a node that is behind is waited for.
const CATCH_UP: Duration = Duration::from_secs(5);
impl Streams {
    /// Starts a live query, or goes on with one.
    pub(crate) async fn live(&self, tenant: TenantId, asked: LiveAsked) -> Result<Live, Refusal> {
        let query_hash = asked.hash(&tenant);
        let LiveAsked { sql, every, lateness, mut request } = asked;
        within("every", every, EVERY_MIN, EVERY_MAX)?;
        within("lateness", lateness, Duration::ZERO, LATENESS_MAX)?;
        let query = LiveQuery::compile(&sql).await?;
        let mut resumed = LivePlace { closed_us: i64::MIN, ..LivePlace::default() };
        if let Some(Start::ResumeToken(token)) = &request.start {
            resumed = self.tokens.read_live(token, query_hash)?;
            self.caught_up(&resumed).await?;
            request.start = Some(Start::ResumeToken(self.token_of_events(&tenant, &request, &resumed).into()));
        }
        let mut stream = self.open(tenant, request).await?;
        // Its limit is for events that go out.
        stream.pace = Pace::new(0, 1);
        let behind = stream.behind(&self.node);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let cursors = stream.cursors.iter().map(|cursor| (cursor.shard, cursor.next));
        let places = Places::new(micros(every), cursors, &resumed);
        Ok(Live {
            time: EventTime { newest: BTreeMap::new(), behind: behind.iter().map(|cursor| cursor.shard).collect() },
            windows: Windows::new(query, micros(every), LiveLimits::default()).resumed(resumed.closed_us, resumed.late),
            every,
            lateness_us: micros(lateness),
            ticks,
            came: Instant::now(),
            lost: resumed.lost,
            told_positions: places.positions(),
            places,
            is_resuming: !resumed.shards.is_empty() && !behind.is_empty(),
            tokens: self.tokens.clone(),
            query_hash,
            told: (resumed.late, resumed.lost),
            steps: Box::pin(stream.steps(behind)),
        })
    }

    /// Where the events of the open windows begin.
    fn token_of_events(&self, tenant: &TenantId, request: &proto::SubscribeRequest, place: &LivePlace) -> Vec<u8> {
        let cursors: Vec<_> = place.shards.iter().map(|place| Cursor { shard: place.shard, next: place.from }).collect();
        let filter = request.filter.clone().unwrap_or_default();
        self.tokens.write(&cursors, hash(tenant, &filter))
    }

    /// Waits until this node has seen what the node had that gave the token: what is read again ends there.
    async fn caught_up(&self, place: &LivePlace) -> Result<(), Refusal> {
        for ShardPlace { shard, read, .. } in &place.shards {
            let Some(handle) = self.node.shards().get(usize::from(shard.0)) else { continue };
            let mut positions = handle.watch();
            let seen = timeout(CATCH_UP, positions.wait_for(|now| now.tail() >= *read)).await;
            if !seen.is_ok_and(|seen| seen.is_ok()) {
                return Err(Refusal::Unavailable(format!("resume_token: shard {shard} has not come to {read} on this node yet")));
            }
        }
        Ok(())
    }
}

impl LiveAsked {
    /// What a token is bound to.
    fn hash(&self, tenant: &TenantId) -> u64 {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let query = proto::LiveRequest {
            sql: self.sql.clone(),
            every_ms: millis(self.every),
            lateness_ms: millis(self.lateness),
            filter: Some(self.request.filter.clone().unwrap_or_default()),
            start: None,
        };
        hash(tenant, &query)
    }
}

fn within(field: &str, asked: Duration, min: Duration, max: Duration) -> Result<(), Refusal> {
    if (min..=max).contains(&asked) {
        return Ok(());
    }
    Err(Refusal::Invalid(format!("{field} is {} ms, must be {} to {} ms", asked.as_millis(), min.as_millis(), max.as_millis())))
}
