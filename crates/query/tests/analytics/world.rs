//! Events of several shards, partly in the lake. The hot tier is the port filled in with batches in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::TryStreamExt as _;
use uuid::Uuid;
use watershed_catalog::SqliteCatalog;
use watershed_lake::{CommitRequest, Lake, Rows, Staged, StagedRange, storage};
use watershed_query::{Engine, HotHead, HotPage, HotRange, HotRequest, HotTier, HotTierError, Limits, QueryError};
use watershed_schema::proto::{PeerPartial, PeerStates};
use watershed_schema::{BatchBuilder, Column, Epoch, EventBatch, Seq, ShardId, TenantId};

pub(crate) use crate::sets::event::{DAY_US, DAY0_US, Event, HOUR_US, MINUTE_US, SHARDS};

pub(crate) const LIMITS: Limits = Limits { deadline: Duration::from_secs(60), memory_bytes: 64 << 20, rows_max: 1_000_000 };

pub(crate) fn event(at_us: i64, name: &str, actor: &str) -> Event {
    Event { at_us, name: name.to_owned(), actor: Some(actor.to_owned()), ..Event::default() }
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("a tenant")
}

fn batch(owner: &str, events: &[Event]) -> Arc<EventBatch> {
    let mut builder = BatchBuilder::new(tenant(owner), 1024);
    for (n, event) in events.iter().enumerate() {
        builder.row(None, |row| {
            row.str(Column::Id, &format!("{owner}-{n}"));
            row.str(Column::Ns, owner);
            event.write(row);
        });
    }
    Arc::new(builder.finish().expect("rows"))
}

type Blocks = Vec<(Seq, Arc<EventBatch>)>;

#[derive(Debug, Default)]
pub(crate) struct Hot {
    shards: Mutex<BTreeMap<u16, Blocks>>,
    pub(crate) pages: AtomicUsize,
    /// Of the node that has all shards but the first, unless they are here, too.
    other: OnceLock<Engine>,
    pub(crate) are_here: AtomicBool,
    /// Partial aggregates that it was asked for.
    pub(crate) slices: AtomicUsize,
    /// Places of a slice.
    pub(crate) slice: AtomicU64,
    /// After so many it does not aggregate any more.
    pub(crate) slices_max: AtomicUsize,
    /// Its states are of another form.
    pub(crate) is_of_another_form: AtomicBool,
}

fn tail(blocks: &Blocks) -> Seq {
    blocks.last().map_or(Seq::FIRST, |(first, batch)| first.advanced_by(batch.header().rows))
}

impl Hot {
    fn blocks(&self, shard: u16) -> Blocks {
        self.shards.lock().expect("not poisoned").get(&shard).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl HotTier for Hot {
    async fn tails(&self, _: &TenantId, _: Option<&str>) -> Result<Vec<HotRange>, HotTierError> {
        let range = |shard| HotRange { shard: ShardId(shard), trimmed: Seq::FIRST, to: tail(&self.blocks(shard)) };
        Ok((0..SHARDS).map(range).collect())
    }

    async fn page(&self, shard: ShardId, request: &HotRequest) -> Result<HotPage, HotTierError> {
        self.pages.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        let inside = |(first, batch): &(Seq, Arc<EventBatch>)| {
            first.advanced_by(batch.header().rows) > request.from_seq && *batch.tenant() == request.tenant
        };
        let found = self.blocks(shard.0).into_iter().find(inside);
        let next = found.as_ref().map_or(request.to_seq_exclusive, |(first, batch)| first.advanced_by(batch.header().rows));
        Ok(HotPage { blocks: found.into_iter().collect(), next: next.min(request.to_seq_exclusive) })
    }

    async fn heads(&self, shard: ShardId, request: &HotRequest) -> Result<Vec<HotHead>, HotTierError> {
        let mine = self.blocks(shard.0).into_iter().filter(|(_, batch)| *batch.tenant() == request.tenant);
        let head = |(first_seq, batch): (Seq, Arc<EventBatch>)| HotHead {
            first_seq,
            rows: batch.header().rows,
            event_types: batch.header().event_types,
        };
        let ends = |head: &HotHead| {
            head.first_seq.advanced_by(head.rows) > request.from_seq && head.first_seq < request.to_seq_exclusive
        };
        Ok(mine.map(head).filter(ends).collect())
    }

    fn is_here(&self, shard: ShardId) -> bool {
        shard.0 == 0 || self.are_here.load(Ordering::Relaxed)
    }

    async fn states(&self, shard: ShardId, asked: &PeerPartial) -> Result<PeerStates, HotTierError> {
        if self.slices.fetch_add(1, Ordering::Relaxed) >= self.slices_max.load(Ordering::Relaxed) {
            return Err(HotTierError::Refused("of an older version".to_owned()));
        }
        let to_seq_exclusive = asked.to_seq_exclusive.min(asked.from_seq + self.slice.load(Ordering::Relaxed));
        let counts_hot = asked.counts_hot ^ self.is_of_another_form.load(Ordering::Relaxed);
        let asked = PeerPartial { to_seq_exclusive, counts_hot, ..asked.clone() };
        let states = self.other.get().expect("a node").states(shard, &asked).await;
        states.map_err(|error| match error {
            QueryError::Hot(error) => error,
            error => HotTierError::Refused(error.to_string()),
        })
    }
}

pub(crate) struct World {
    pub(crate) hot: Arc<Hot>,
    lake: Lake,
    pub(crate) engine: Engine,
    _dir: tempfile::TempDir,
}

pub(crate) async fn world(limits: Limits) -> World {
    let dir = tempfile::tempdir().expect("a folder");
    let warehouse = format!("file://{}/warehouse", dir.path().display());
    let path = dir.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, "watershed", &warehouse, storage::local()).await.expect("opens");
    let lake = Lake::open(Arc::new(catalog)).await.expect("opens");
    let hot = Arc::new(Hot { slices_max: AtomicUsize::new(usize::MAX), slice: AtomicU64::new(1_000), ..Hot::default() });
    // What is in the lake is not its own to aggregate.
    let other = Engine::new(Arc::clone(&hot) as Arc<dyn HotTier>, None, limits);
    hot.other.set(other).expect("once");
    let engine = Engine::new(Arc::clone(&hot) as Arc<dyn HotTier>, Some(Arc::new(lake.clone())), limits);
    World { hot, lake, engine, _dir: dir }
}

impl World {
    /// In the order given, per shard.
    pub(crate) fn push(&self, owner: &str, events: &[Event]) {
        let mut shards = self.hot.shards.lock().expect("not poisoned");
        for shard in 0..SHARDS {
            let mine: Vec<Event> = events.iter().filter(|event| event.shard == shard).cloned().collect();
            for some in mine.chunks(50) {
                let blocks = shards.entry(shard).or_default();
                blocks.push((tail(blocks), batch(owner, some)));
            }
        }
    }

    /// Commits this part of every shard to the lake.
    pub(crate) async fn archive(&self, part: f64) {
        let known = self.lake.watermark().await.expect("reads");
        let mut ranges = Vec::new();
        for shard in (0..SHARDS).map(ShardId) {
            let blocks = self.hot.blocks(shard.0);
            let from_seq = known.get(&shard).copied().unwrap_or(Seq::FIRST);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand events")]
            let to_seq = Seq(1 + ((tail(&blocks).0 - 1) as f64 * part) as u64);
            if to_seq > from_seq {
                let rows = Rows { shard, from_seq, to_seq, blocks };
                let files = self.lake.write(&rows, Epoch(1)).await.expect("writes");
                ranges.push(StagedRange { shard, from_seq, to_seq, files });
            }
        }
        let request = CommitRequest { ranges, replayed: Staged::default(), epoch: Epoch(1), commit_id: Uuid::now_v7() };
        self.lake.commit(&request).await.expect("commits");
    }

    pub(crate) async fn sql(&self, owner: &str, sql: &str) -> Result<Vec<RecordBatch>, QueryError> {
        self.engine.sql(&tenant(owner), sql, None).await?.batches.try_collect().await
    }
}
