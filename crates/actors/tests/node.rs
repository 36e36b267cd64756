//! A node's actors over real Raft, real SQLite and a real Iceberg table.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use watershed_actors::{AppendError, Cursor, Filter, Membership, Node, OnLag, Settings, Step, Upkeep};
use watershed_catalog::SqliteCatalog;
use watershed_hot::ScanRequest;
use watershed_lake::{FileFilter, Lake, storage};
use watershed_schema::{BatchBuilder, Column, EventBatch, Seq, TenantId, proto};

fn settings(dir: &Path) -> Settings {
    Settings {
        data_dir: dir.join("shards"),
        shards: 2,
        high_volume: vec![tenant("big")],
        ingest_actors: 2,
        hot_retention: Duration::from_secs(300),
        flush_interval: Duration::from_secs(3600),
        archive_rows: 1_000,
        archive_bytes: 1 << 20,
        archive_attempts: 5,
        upkeep: Upkeep::default(),
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("a tenant")
}

fn batch(owner: &str, ids: std::ops::Range<u64>) -> EventBatch {
    let mut builder = BatchBuilder::new(tenant(owner), 1024);
    for id in ids {
        builder.row(None, |row| {
            row.str(Column::Id, &format!("{owner}-{id}"));
            row.str(Column::Ns, owner);
            row.str(Column::EventType, "log");
            row.str(Column::EventName, "n");
            row.int(Column::Timestamp, 1_700_000_000_000_000);
            row.str(Column::TraceId, &format!("trace-{}", id % 7));
        });
    }
    builder.finish().expect("rows")
}

async fn lake(dir: &Path) -> Arc<Lake> {
    let warehouse = format!("file://{}/warehouse", dir.display());
    let catalog = SqliteCatalog::open(&dir.join("catalog.db"), "watershed", &warehouse, storage::local()).await.expect("opens");
    Arc::new(Lake::open(Arc::new(catalog)).await.expect("opens"))
}

async fn start(dir: &Path) -> Node {
    Node::start(settings(dir), Membership::alone("test", 2, 1 << 20), Some(lake(dir).await)).await.expect("starts")
}

async fn append(node: &Node, batch: EventBatch) -> (u64, u64) {
    let permit = node.budget().admit(batch.body().len()).expect("fits");
    let appended = node.append(batch, permit).await.expect("commits");
    (appended.events, appended.duplicates)
}

async fn hot_ids(node: &Node, owner: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for shard in node.shards() {
        let mut request = ScanRequest { tenant: Some(tenant(owner)), ..ScanRequest::from(shard.positions().trimmed()) };
        let tail = shard.read_index().await.expect("leads").tail();
        while request.from_seq < tail {
            let page = shard.read(request.clone()).await.expect("reads");
            for (_, batch) in &page.blocks {
                ids.extend(
                    batch.rows().map(|row| row.get(Column::Id).expect("whole").expect("id").as_str().expect("text").to_owned()),
                );
            }
            request.from_seq = page.next;
        }
    }
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_adds_nothing_also_after_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(dir.path()).await;
    assert_eq!(append(&node, batch("a", 0..10)).await, (10, 0));
    assert_eq!(append(&node, batch("a", 0..10)).await, (0, 10));
    assert_eq!(append(&node, batch("a", 5..12)).await, (2, 5));
    node.stop().await;
    drop(node);
    let node = start(dir.path()).await;
    assert_eq!(append(&node, batch("a", 0..13)).await, (1, 12));
    assert_eq!(hot_ids(&node, "a").await.len(), 13);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_high_volume_tenant_is_spread_and_a_trace_stays_together() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(dir.path()).await;
    append(&node, batch("big", 0..70)).await;
    let mut homes = BTreeSet::new();
    for shard in node.shards() {
        let page = shard.read(ScanRequest::from(Seq::FIRST)).await.expect("reads");
        for (_, batch) in &page.blocks {
            for row in batch.rows() {
                let trace = row.get(Column::TraceId).expect("whole").expect("trace").as_str().expect("text").to_owned();
                homes.insert((trace, shard.id()));
            }
        }
    }
    assert_eq!(homes.len(), 7, "each of the seven traces has one home: {homes:?}");
    assert_eq!(homes.iter().map(|(_, shard)| shard).collect::<BTreeSet<_>>().len(), 2);
    assert_eq!(hot_ids(&node, "big").await.len(), 70);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_senders_lose_and_double_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(dir.path()).await;
    let senders = (0..16u64).map(|sender| {
        let node = node.clone();
        tokio::spawn(async move {
            for step in 0..20 {
                append(&node, batch("a", sender * 1_000 + step * 5..sender * 1_000 + step * 5 + 8)).await;
            }
        })
    });
    futures::future::join_all(senders).await.into_iter().for_each(|done| done.expect("sends"));
    let ids = hot_ids(&node, "a").await;
    assert_eq!(ids.len(), 16 * (19 * 5 + 8));
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_sees_every_event_once_across_memory_disk_and_a_resume() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(dir.path()).await;
    append(&node, batch("a", 0..500)).await;
    append(&node, batch("b", 0..3)).await;
    let cursors: Vec<Cursor> = node.shards().iter().map(|shard| Cursor { shard: shard.id(), next: Seq::FIRST }).collect();
    let (seen, cursors) = follow(&node, cursors, 500).await;
    node.stop().await;
    drop(node);
    let node = start(dir.path()).await;
    let live = tokio::spawn({
        let node = node.clone();
        async move { follow(&node, cursors, 300).await.0 }
    });
    append(&node, batch("a", 500..800)).await;
    let all: BTreeSet<u64> = seen.into_iter().chain(live.await.expect("follows")).collect();
    assert_eq!(all.len(), 800);
    node.stop().await;
}

/// Follows tenant `a` until `count` events came; every event at most once.
async fn follow(node: &Node, mut cursors: Vec<Cursor>, count: usize) -> (Vec<u64>, Vec<Cursor>) {
    let everything = Arc::new(Filter::new(&proto::Filter::default()).expect("a filter"));
    let mut subscriber = node.subscribe(tenant("a"), everything, OnLag::CatchUp, &cursors);
    let mut seen = Vec::new();
    while seen.len() < count {
        let Step::Events { shard, from, to, blocks } = subscriber.next().await.expect("reads") else { panic!("a gap") };
        let cursor = cursors.iter_mut().find(|cursor| cursor.shard == shard).expect("followed");
        assert_eq!(cursor.next, from);
        cursor.next = to;
        for (first, batch) in blocks {
            assert_eq!(batch.tenant().as_str(), "a");
            let inside = (0..batch.len() as u64).map(|row| first.0 + row).filter(|seq| (from.0..to.0).contains(seq));
            seen.extend(inside.map(|seq| u64::from(shard.0) << 32 | seq));
        }
    }
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
    (seen, cursors)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_sleeps_until_something_comes_that_it_wants() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(dir.path()).await;
    append(&node, batch("a", 0..10)).await;
    let home = node.ring().query_shards(&tenant("a"), None)[0];
    let cursors = [Cursor { shard: home, next: node.shards()[usize::from(home.0)].positions().tail() }];
    let wanted = |topic: &str| proto::Filter { topics: vec![topic.to_owned()], ..proto::Filter::default() };
    let follow = |topic: &str| {
        let filter = Arc::new(Filter::new(&wanted(topic)).expect("a filter"));
        let mut subscriber = node.subscribe(tenant("a"), filter, OnLag::CatchUp, &cursors);
        tokio::spawn(async move { subscriber.next().await })
    };
    let (logs, nothing, gone) = (follow("log.n"), follow("trace.**"), follow("log.n"));
    gone.abort();
    // Another tenant's events, on the same shard for all we know, wake nobody.
    append(&node, batch("b", 0..300)).await;
    append(&node, batch("a", 10..12)).await;
    let Step::Events { from, to, blocks, .. } = logs.await.expect("runs").expect("reads") else { panic!("a gap") };
    assert!(blocks.iter().all(|(_, batch)| batch.tenant().as_str() == "a"));
    assert_eq!(to.0 - from.0, 2, "it did not look at what came before");
    append(&node, batch("a", 12..600)).await;
    assert!(!nothing.is_finished());
    node.stop().await;
    assert!(nothing.await.expect("runs").is_err(), "who sleeps is told that the node stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_would_rather_drop_is_moved_to_the_tail() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(dir.path()).await;
    append(&node, batch("a", 0..500)).await;
    let home = node.ring().query_shards(&tenant("a"), None)[0];
    let cursors = [Cursor { shard: home, next: Seq::FIRST }];
    let everything = || Arc::new(Filter::new(&proto::Filter::default()).expect("a filter"));
    let mut dropping = node.subscribe(tenant("a"), everything(), OnLag::Drop { events: 499 }, &cursors);
    let Step::Gap { from, to, .. } = dropping.next().await.expect("reads") else { panic!("no gap") };
    assert_eq!((from, to), (Seq::FIRST, node.shards()[usize::from(home.0)].positions().tail()));
    let mut patient = node.subscribe(tenant("a"), everything(), OnLag::Drop { events: 500 }, &cursors);
    assert!(matches!(patient.next().await.expect("reads"), Step::Events { .. }));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_committed_is_in_the_lake_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(dir.path()).await;
    append(&node, batch("a", 0..2_500)).await;
    assert!(node.flush().await);
    assert!(node.flush().await, "nothing more to do is done");
    append(&node, batch("big", 0..10)).await;
    assert!(node.flush().await);
    node.stop().await;
    drop(node);
    let node = start(dir.path()).await;
    assert!(node.flush().await);
    let pinned = lake(dir.path()).await.pin().await.expect("pins");
    let files = pinned.files(&FileFilter::default()).await.expect("plans");
    assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 2_510);
    for shard in node.shards() {
        let positions = shard.positions();
        assert_eq!((positions.staged(), positions.archived()), (positions.tail(), positions.tail()));
        assert_eq!(pinned.watermark.get(&shard.id()).copied().unwrap_or(Seq::FIRST), positions.tail());
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_refuses() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(dir.path()).await;
    node.stop().await;
    let permit = node.budget().admit(1).expect("fits");
    let refused = node.append(batch("a", 0..1), permit).await;
    assert!(matches!(refused, Err(AppendError::Stopped { .. })), "{refused:?}");
}
