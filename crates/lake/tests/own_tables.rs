//! Tables of single tenants against the real catalog and real files: each row in one table, each once in what a tenant sees,
//! whatever happens between the tables.

#[path = "support/lake.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use iceberg::TableIdent;
use iceberg::transaction::{ApplyTransactionAction as _, Transaction};
use uuid::Uuid;
use watershed_catalog::SqliteCatalog;
use watershed_lake::{
    CommitRequest, CompactionLimits, Doomed, Lake, LakeError, Logged, Moment, OrphanRule, Pinned, Rows, SnapshotRetention,
    Staged, StagedRange, steps, storage, updates_by,
};
use watershed_schema::{Epoch, Seq, ShardId, TenantId};

const SHARD: ShardId = ShardId(0);
const EPOCH: Epoch = Epoch(1);
const BETWEEN: &str = "lake::between_tables";

/// Fail points are of the whole process.
fn alone() -> fail::FailScenario<'static> {
    assert!(fail::has_failpoints(), "build with --features watershed-cli/failpoints");
    fail::FailScenario::setup()
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("a name")
}

/// A lake of which these tenants have tables of their own.
async fn lake(dir: &Path, listed: &[&str]) -> Lake {
    let warehouse = format!("file://{}/warehouse", dir.display());
    let catalog = SqliteCatalog::open(&dir.join("catalog.db"), "watershed", &warehouse, storage::local()).await.expect("opens");
    let (catalog, port) = (std::sync::Arc::new(catalog.clone()), std::sync::Arc::new(catalog));
    let updates = updates_by(move |table, requirements, updates| {
        let port = std::sync::Arc::clone(&port);
        async move { port.commit_updates(&table, requirements, updates).await.map(drop) }
    });
    let lake = Lake::open(catalog).await.expect("opens").with_updates(updates);
    lake.with_own_tables(listed.iter().map(|name| tenant(name))).await.expect("makes them")
}

/// A run of rows `[from, to)`: the first half is of `default`, the second of `acme`. A row's type names its tenant.
fn run(from: u64, to: u64) -> Rows {
    let middle = (from + to) / 2;
    let mut rows = support::rows_of("default", SHARD, (from, middle), "default");
    rows.blocks.extend(support::rows_of("acme", SHARD, (middle, to), "acme").blocks);
    Rows { to_seq: Seq(to), ..rows }
}

async fn range(lake: &Lake, rows: &Rows) -> StagedRange {
    let files = lake.write(rows, EPOCH).await.expect("writes");
    StagedRange { shard: SHARD, from_seq: rows.from_seq, to_seq: rows.to_seq, files }
}

fn request(ranges: Vec<StagedRange>, epoch: Epoch) -> CommitRequest {
    CommitRequest { ranges, replayed: Staged::default(), epoch, commit_id: Uuid::now_v7() }
}

/// Archives a run as the archiver does.
async fn archive(lake: &Lake, (from, to): (u64, u64)) {
    let range = range(lake, &run(from, to)).await;
    lake.commit(&request(vec![range], EPOCH)).await.expect("commits");
}

/// Runs of numbers of a tenant's rows in a table, by their files.
async fn runs(table: &Pinned, name: &str) -> Vec<(i64, i64)> {
    let files = table.contents("").await.expect("lists");
    let theirs = files.iter().filter(|file| file.partition.ends_with(&format!("event_type={name}")));
    let mut runs: Vec<_> = theirs.map(|file| file.seqs.expect("bounds")).map(|(first, last)| (first, last + 1)).collect();
    runs.sort_unstable();
    runs
}

/// The watermark of what a tenant sees and the runs of its rows, over all tables.
async fn seen(lake: &Lake, name: &str) -> (u64, Vec<(i64, i64)>) {
    let view = lake.view(&tenant(name)).await.expect("pins");
    let mut all = Vec::new();
    for table in &view.tables {
        all.extend(runs(table, name).await);
    }
    all.sort_unstable();
    (view.watermark.get(&SHARD).map_or(1, |seq| seq.0), all)
}

/// Rows of both tenants by table.
async fn by_table(lake: &Lake) -> BTreeMap<String, [Vec<(i64, i64)>; 2]> {
    let mut all = BTreeMap::new();
    for table in lake.tables().await.expect("lists") {
        let pinned = table.pin().await.expect("pins");
        all.insert(table.name().to_owned(), [runs(&pinned, "default").await, runs(&pinned, "acme").await]);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_tenants_rows_are_in_its_table_and_nobody_elses() {
    let (_alone, dir) = (alone(), tempfile::tempdir().expect("works"));
    let lake = lake(dir.path(), &["acme"]).await;
    archive(&lake, (1, 11)).await;
    let expected = [("events", [vec![(1, 6)], vec![]]), ("events_acme", [vec![], vec![(6, 11)]])];
    assert_eq!(by_table(&lake).await, expected.map(|(name, runs)| (name.to_owned(), runs)).into());
    assert_eq!(seen(&lake, "acme").await, (11, vec![(6, 11)]));
    assert_eq!(seen(&lake, "default").await, (11, vec![(1, 6)]));
    assert_eq!(lake.view(&tenant("default")).await.expect("pins").tables.len(), 1, "another has nothing to do with it");

    // A run without a row of the listed tenant is no snapshot of its table, and one with no other's is one of the shared one.
    let own = async || lake.table("events_acme").await.expect("there").snapshots().await.expect("lists").len();
    let before = own().await;
    let others = range(&lake, &support::rows_of("default", SHARD, (11, 15), "default")).await;
    lake.commit(&request(vec![others], EPOCH)).await.expect("commits");
    assert_eq!(own().await, before);
    let theirs = range(&lake, &support::rows_of("acme", SHARD, (15, 18), "acme")).await;
    lake.commit(&request(vec![theirs], EPOCH)).await.expect("commits");
    assert_eq!((seen(&lake, "acme").await.0, lake.watermark().await.expect("reads")[&SHARD]), (18, Seq(18)));
    assert_eq!(seen(&lake, "acme").await.1, [(6, 11), (15, 18)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn death_between_the_tables_leaves_each_row_once() {
    let (_alone, dir) = (alone(), tempfile::tempdir().expect("works"));
    let lake = lake(dir.path(), &["acme"]).await;
    archive(&lake, (1, 11)).await;
    let second = range(&lake, &run(11, 21)).await;
    fail::cfg(BETWEEN, "return").expect("a fail point");
    lake.commit(&request(vec![second.clone()], EPOCH)).await.expect_err("ends between the tables");
    // The own table is ahead: hot rows begin there. For others nothing has happened.
    assert_eq!(seen(&lake, "acme").await, (21, vec![(6, 11), (16, 21)]));
    assert_eq!(seen(&lake, "default").await, (11, vec![(1, 6)]));
    assert_eq!(lake.watermark().await.expect("reads")[&SHARD], Seq(11), "nothing may be trimmed yet");

    // Again, and again with more: what the own table has is passed over.
    let third = range(&lake, &run(21, 31)).await;
    lake.commit(&request(vec![second.clone(), third.clone()], EPOCH)).await.expect_err("ends between the tables");
    fail::remove(BETWEEN);
    lake.commit(&request(vec![second, third], EPOCH)).await.expect("commits");
    assert_eq!(seen(&lake, "acme").await, (31, vec![(6, 11), (16, 21), (26, 31)]));
    assert_eq!(seen(&lake, "default").await, (31, vec![(1, 6), (11, 26)]), "two ranges of one commit are one file");
    let gap = range(&lake, &run(41, 51)).await;
    let refused = lake.commit(&request(vec![gap], EPOCH)).await;
    assert!(matches!(refused, Err(LakeError::NotContiguous { .. })), "{refused:?}");
}

/// What happens once when a fail point is passed: it is told, and waits until it may go on.
fn stop_once(point: &'static str) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
    let ((tell, told), (go, gone)) = (mpsc::channel(), mpsc::channel());
    let ways = std::sync::Mutex::new(Some((tell, gone)));
    let once = move || {
        if let Some((tell, gone)) = ways.lock().expect("whole").take() {
            tell.send(()).expect("is waited for");
            gone.recv_timeout(Duration::from_secs(30)).expect("is let go");
        }
    };
    fail::cfg_callback(point, once).expect("a fail point");
    (told, go)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_zombie_is_fenced_on_the_own_table_too() {
    let (_alone, dir) = (alone(), tempfile::tempdir().expect("works"));
    let zombie = lake(dir.path(), &["acme"]).await;
    archive(&zombie, (1, 11)).await;
    let late = request(vec![range(&zombie, &run(11, 21)).await], EPOCH);
    let (told, go) = stop_once("lake::before_own");
    let committing = tokio::spawn(async move { zombie.commit(&late).await });
    tokio::task::spawn_blocking(move || told.recv_timeout(Duration::from_secs(30))).await.expect("waits").expect("stops there");
    // It has looked at the shared table. Now another becomes the committer, who has nothing for the own table.
    let newer = lake(dir.path(), &["acme"]).await;
    let theirs = support::rows_of("default", ShardId(1), (1, 5), "default");
    let files = newer.write(&theirs, Epoch(2)).await.expect("writes");
    let other = StagedRange { shard: ShardId(1), from_seq: Seq(1), to_seq: Seq(5), files };
    newer.commit(&request(vec![other], Epoch(2))).await.expect("commits");
    go.send(()).expect("it waits");
    let fenced = committing.await.expect("ends");
    assert!(matches!(fenced, Err(LakeError::Fenced { .. })), "{fenced:?}");
    assert_eq!(seen(&newer, "acme").await, (11, vec![(6, 11)]), "nothing of it is in the own table");
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_unlisted_and_listed_again_each_row_is_seen_once() {
    let (_alone, dir) = (alone(), tempfile::tempdir().expect("works"));
    let mut expected = Vec::new();
    for (stage, listed) in [&[][..], &["acme"], &[], &["acme"]].into_iter().enumerate() {
        let (lake, from) = (lake(dir.path(), listed).await, 1 + stage as u64 * 10);
        archive(&lake, (from, from + 10)).await;
        expected.push((from.cast_signed() + 5, from.cast_signed() + 10));
        assert_eq!(seen(&lake, "acme").await, (from + 10, expected.clone()), "stage {stage}");
        assert_eq!(lake.tables().await.expect("lists").len(), if stage == 0 { 1 } else { 2 }, "it stays, listed or not");
    }
    let lake = lake(dir.path(), &[]).await;
    let own = by_table(&lake).await["events_acme"][1].clone();
    assert_eq!(own, [(16, 21), (36, 41)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_of_a_shard_for_different_tables_are_commits_of_their_own() {
    let (_alone, dir) = (alone(), tempfile::tempdir().expect("works"));
    let (plain, listing) = (lake(dir.path(), &[]).await, lake(dir.path(), &["acme"]).await);
    let ranges = vec![
        range(&plain, &run(1, 11)).await,
        range(&plain, &run(11, 21)).await,
        range(&listing, &run(21, 31)).await,
        range(&plain, &run(31, 41)).await,
    ];
    let mixed = listing.commit(&request(ranges.clone(), EPOCH)).await;
    assert!(matches!(mixed, Err(LakeError::Mixed { shard: SHARD })), "{mixed:?}");
    let steps = steps(ranges);
    assert_eq!(steps.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1]);
    let mut rows = Vec::new();
    for (ranges, expected) in steps.into_iter().zip([vec![(6, 21)], vec![(26, 31)], vec![(36, 41)]]) {
        listing.commit(&request(ranges, EPOCH)).await.expect("commits");
        rows.extend(expected);
        assert_eq!(seen(&listing, "acme").await.1, rows);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_committed_between_two_pins_is_neither_missing_nor_there_twice() {
    let (_alone, dir) = (alone(), tempfile::tempdir().expect("works"));
    let (plain, listing) = (lake(dir.path(), &[]).await, lake(dir.path(), &["acme"]).await);
    archive(&listing, (1, 11)).await;
    let (told, go) = stop_once("lake::between_pins");
    let reader = listing.clone();
    let looking = tokio::spawn(async move { seen(&reader, "acme").await });
    tokio::task::spawn_blocking(move || told.recv_timeout(Duration::from_secs(30))).await.expect("waits").expect("stops there");
    // The shared table is pinned. A run goes to it alone, then one to the own table, and that commit does not come to its end.
    archive(&plain, (11, 21)).await;
    fail::cfg(BETWEEN, "return").expect("a fail point");
    let last = range(&listing, &run(21, 31)).await;
    listing.commit(&request(vec![last], EPOCH)).await.expect_err("ends between the tables");
    go.send(()).expect("it waits");
    assert_eq!(looking.await.expect("looks"), (31, vec![(6, 11), (16, 21), (26, 31)]), "all below the watermark");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_between_the_tables_adds_nothing_twice_wherever_rows_go_by_then() {
    let (_alone, dir) = (alone(), tempfile::tempdir().expect("works"));
    let (plain, listing) = (lake(dir.path(), &[]).await, lake(dir.path(), &["acme"]).await);
    let passed = StagedRange { shard: SHARD, from_seq: Seq(1), to_seq: Seq(21), files: Staged::default() };
    plain.commit(&request(vec![passed], EPOCH)).await.expect("commits");
    fail::cfg(BETWEEN, "return").expect("a fail point");
    listing.replay(&run(1, 11), EPOCH).await.expect_err("ends between the tables");
    fail::remove(BETWEEN);
    plain.replay(&run(1, 11), EPOCH).await.expect("replays");
    listing.replay(&run(1, 11), EPOCH).await.expect("is known");
    listing.replay(&run(11, 21), EPOCH).await.expect("replays");
    let expected = [("events", [vec![(1, 6), (11, 16)], vec![]]), ("events_acme", [vec![], vec![(6, 11), (16, 21)]])];
    assert_eq!(by_table(&plain).await, expected.map(|(name, runs)| (name.to_owned(), runs)).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn upkeep_goes_over_all_tables() {
    let (_alone, dir) = (alone(), tempfile::tempdir().expect("works"));
    archive(&lake(dir.path(), &[]).await, (1, 11)).await;
    let lake = lake(dir.path(), &["acme"]).await;
    for from in [11, 21, 31] {
        archive(&lake, (from, from + 10)).await;
    }
    let limits = CompactionLimits::default();
    let mut rounds = Vec::new();
    while let Some(done) = lake.compact(&limits, EPOCH).await.expect("compacts") {
        rounds.push((done.files_before, done.files_after));
    }
    assert_eq!(rounds, [(4, 1), (3, 1)], "default's in the shared table, acme's in its own");
    assert_eq!(seen(&lake, "acme").await, (41, vec![(6, 11), (16, 41)]));
    let rule = OrphanRule { age: Duration::ZERO, with_metadata: true, dry_run: false };
    assert_eq!(lake.remove_orphans(&rule, &Logged::default(), EPOCH).await.expect("looks").files, 0, "older snapshots name them");
    let newest = SnapshotRetention { age: Duration::ZERO, count: 1 };
    let expired = lake.expire(&newest, EPOCH).await.expect("expires").expect("something");
    assert_eq!(expired.snapshots, 4 + 3, "all but the newest of both");
    assert_eq!(lake.remove_orphans(&rule, &Logged::default(), EPOCH).await.expect("looks").files, 0, "nothing is left to remove");
    assert_eq!(seen(&lake, "acme").await, (41, vec![(6, 11), (16, 41)]));

    // Staged for an own table: named by the logs alone.
    let waiting = range(&lake, &run(41, 51)).await;
    let logged = Logged { files: waiting.files.all().cloned().collect(), ..Logged::default() };
    assert_eq!(lake.remove_orphans(&rule, &logged, EPOCH).await.expect("looks").files, 0);
    let found = lake.remove_orphans(&rule, &Logged::default(), EPOCH).await.expect("removes");
    assert!(found.files == 2 && found.names.iter().any(|name| name.starts_with("events_acme: data/")), "{found:?}");

    let doomed = Doomed::Tenant { ns: "acme".to_owned(), actor: None };
    let mut rows = 0;
    while let Some(done) = lake.delete(&doomed, &limits, EPOCH).await.expect("deletes") {
        rows += done.rows;
    }
    assert_eq!((rows, seen(&lake, "acme").await), (20, (41, vec![])), "from both tables");
    assert_eq!(seen(&lake, "default").await.1, [(1, 36)], "the others' stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_that_of_both_tables() {
    let (_alone, dir) = (alone(), tempfile::tempdir().expect("works"));
    archive(&lake(dir.path(), &[]).await, (1, 11)).await;
    let lake = lake(dir.path(), &["acme"]).await;
    let before = lake.pin().await.expect("pins").snapshot_id.expect("one");
    archive(&lake, (11, 21)).await;
    let own = lake.table("events_acme").await.expect("there").pin().await.expect("pins").snapshot_id.expect("one");
    archive(&lake, (21, 31)).await;
    let view = lake.view(&tenant("acme")).await.expect("pins");
    let rows_at = async |id| {
        let past = view.at(Moment::Snapshot(id)).expect("known");
        let mut all = Vec::new();
        for table in &past.tables {
            all.extend(runs(table, "acme").await);
        }
        all
    };
    assert_eq!(rows_at(before).await, [(6, 11)], "the own table was not there yet");
    assert_eq!(rows_at(own).await, [(6, 11), (16, 21)]);
    let first = view.at(Moment::Time { at_ms: 1 });
    assert!(matches!(first, Err(LakeError::NoSnapshot { .. })), "{first:?}");
    let of_another = lake.view(&tenant("default")).await.expect("pins").at(Moment::Snapshot(own));
    assert!(matches!(of_another, Err(LakeError::NoSnapshot { .. })), "another knows nothing of it: {of_another:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_dropped_is_an_error_to_its_tenant_alone() {
    let (_alone, dir) = (alone(), tempfile::tempdir().expect("works"));
    archive(&lake(dir.path(), &["acme"]).await, (1, 11)).await;
    let ident = TableIdent::from_strs(["watershed", "events_acme"]).expect("a name");
    support::catalog(dir.path()).await.drop_table(&ident).await.expect("drops");
    let plain = lake(dir.path(), &[]).await;
    let gone = plain.view(&tenant("acme")).await.expect_err("it is gone").to_string();
    assert!(gone.contains("events_acme"), "{gone}");
    archive(&plain, (11, 21)).await;
    assert_eq!(seen(&plain, "default").await, (21, vec![(1, 6), (11, 16)]), "the others go on");
    assert_eq!(plain.compact(&CompactionLimits::default(), EPOCH).await.expect("compacts").map(|done| done.rows), Some(10));
    let again = lake(dir.path(), &["acme"]).await;
    assert_eq!(seen(&again, "acme").await, (21, vec![(16, 21)]), "made anew, without what was dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_another_tenants_is_refused() {
    let (_alone, dir) = (alone(), tempfile::tempdir().expect("works"));
    let lake = lake(dir.path(), &["acme"]).await;
    let catalog = support::catalog(dir.path()).await;
    let ident = TableIdent::from_strs(["watershed", "events_acme"]).expect("a name");
    let transaction = Transaction::new(&catalog.load_table(&ident).await.expect("loads"));
    let other = transaction.update_table_properties().set("watershed.tenant".to_owned(), "globex".to_owned());
    other.apply(transaction).expect("applies").commit(catalog.as_ref()).await.expect("commits");
    let refused = lake.view(&tenant("acme")).await.expect_err("is refused").to_string();
    assert!(refused.contains("events_acme") && refused.contains("globex"), "{refused}");
    let unknown = lake.table("events_globex").await.expect_err("there is none").to_string();
    assert_eq!(unknown, "no table events_globex: there are events, events_acme");
}
