//! Compaction and the rest of upkeep by way of a real REST catalog over a real S3 server, while answers are lost; PyIceberg reads what comes of it.

#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/servers.rs"]
mod servers;
#[path = "support/lake.rs"]
mod support;

use std::time::Duration;

use serde_json::json;
use watershed_lake::storage::Files;
use watershed_lake::{CompactionLimits, Doomed, GivenUp, Lake, LakeError, Logged, OrphanRule, Orphans, SnapshotRetention, rest};
use watershed_schema::{Epoch, ShardId};

use proxy::{Asked, Fault, Proxy};
use servers::{BUCKET, Moto, Rustberg, pyiceberg};
use support::{request, rows, rows_in};

const EPOCH: Epoch = Epoch(1);
const RUNS: u64 = 5;

async fn lake(moto: &Moto, rest: &Proxy) -> Lake {
    let settings = rest::Settings {
        uri: format!("http://{}/", rest.address),
        warehouse: Some(format!("s3://{BUCKET}/rest")),
        prefix: None,
        login: rest::Login::None,
        vended: false,
        request_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(10),
    };
    let files = Files::new(moto.s3());
    let catalog = rest::catalog(&settings, &files).await.expect("a catalog");
    Lake::open(catalog).await.expect("opens").with_files(files).with_updates(rest::updates(&settings).expect("a way in"))
}

/// A table of so many small files, behind a proxy that does nothing yet.
async fn archived(runs: u64) -> (Moto, Rustberg, Proxy, Lake) {
    let moto = Moto::start();
    let rustberg = Rustberg::start(&moto);
    let rest = Proxy::start(rustberg.address, |_| None).await;
    let lake = lake(&moto, &rest).await;
    for run in 0..runs {
        let ours = request(&lake, &rows(ShardId(0), (1 + run * 4, 5 + run * 4), "log"), EPOCH).await;
        lake.commit(&ours).await.expect("commits");
    }
    (moto, rustberg, rest, lake)
}

fn is_commit(asked: &Asked) -> bool {
    asked.method == "POST" && asked.path.ends_with("/tables/events")
}

/// A commit that does what it says it did not, once.
fn one_lost_answer() -> impl FnMut(&Asked) -> Option<Fault> + Send {
    let mut left = Some(Fault::Applied(500));
    move |asked| if is_commit(asked) { left.take() } else { None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_catalog_takes_a_compaction_once() {
    let (moto, rustberg, rest, lake) = archived(RUNS).await;
    let watermark = lake.watermark().await.expect("reads");
    rest.plan(one_lost_answer());
    let done = lake.compact(&CompactionLimits::default(), EPOCH).await.expect("compacts").expect("something");
    assert_eq!((done.files_before, done.files_after, done.rows), (5, 1, RUNS * 4));
    assert_eq!(rest.injected().values().sum::<usize>(), 1, "an answer was lost");
    assert_eq!((rows_in(&lake).await, lake.watermark().await.expect("reads")), (RUNS * 4, watermark));
    let seen = pyiceberg(json!({"type": "rest", "uri": format!("http://{}", rustberg.address)}), Some(&moto));
    let count = json!(RUNS * 4);
    assert_eq!((&seen["rows"], &seen["ids"], &seen["places"]), (&count, &count, &count), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_catalog_refuses_a_compaction_that_is_overtaken() {
    let (_moto, _rustberg, rest, lake) = archived(2).await;
    // The compaction's commit waits at the proxy until another one is through.
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let (asked, mut seen) = tokio::sync::mpsc::channel(1);
    let mut held = Some(Fault::Held(std::sync::Arc::clone(&gate)));
    rest.plan(move |request: &Asked| {
        let fault = if is_commit(request) { held.take() } else { None };
        if fault.is_some() {
            asked.try_send(()).expect("the first");
        }
        fault
    });
    let limits = CompactionLimits::default();
    let (lost, ()) = tokio::join!(lake.compact(&limits, EPOCH), async {
        seen.recv().await.expect("it comes");
        let rival = request(&lake, &rows(ShardId(1), (1, 4), "log"), EPOCH).await;
        lake.commit(&rival).await.expect("commits");
        gate.add_permits(1);
    });
    assert!(matches!(lost, Err(LakeError::Overtaken)), "{lost:?}");
    assert_eq!(rows_in(&lake).await, 11);
    lake.compact(&limits, EPOCH).await.expect("compacts").expect("something");
    assert_eq!(rows_in(&lake).await, 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_what_is_named_and_nothing_else() {
    let (moto, rustberg, rest, lake) = archived(RUNS).await;
    let written = request(&lake, &rows(ShardId(1), (1, 4), "log"), EPOCH).await;
    lake.compact(&CompactionLimits::default(), EPOCH).await.expect("compacts").expect("something");
    let all = OrphanRule { age: Duration::ZERO, with_metadata: false, dry_run: false };
    let why = GivenUp { reason: "no", attempts: 1, since_us: 0 };
    let letter = lake.put_letter(&rows(ShardId(1), (4, 9), "log"), why).await.expect("writes");
    let logged = Logged { files: written.ranges[0].files.shared.clone(), letters: vec![letter.clone()] };
    assert_eq!(lake.remove_orphans(&all, &logged, EPOCH).await.expect("looks"), Orphans::default(), "all is named");

    rest.plan(one_lost_answer());
    let newest = SnapshotRetention { age: Duration::ZERO, count: 1 };
    let expired = lake.expire(&newest, EPOCH).await.expect("expires").expect("something");
    assert_eq!((expired.snapshots as u64, expired.files_left), (RUNS, 0));
    // A data file, a manifest and a list of each commit.
    assert!(expired.files as u64 >= 3 * RUNS, "{expired:?}");
    assert_eq!(rest.injected().values().sum::<usize>(), 1, "an answer was lost");
    assert_eq!(lake.expire(&newest, EPOCH).await.expect("looks"), None);

    assert_eq!(lake.letter(&letter).await.expect("is in the bucket").len(), 5);
    let gone = lake.remove_orphans(&all, &Logged::default(), EPOCH).await.expect("removes");
    assert!((gone.files, gone.files_left) == (2, 0), "{gone:?}");
    let never_staged = ["_dead_letters/", "data/"].iter().zip(&gone.names).all(|(folder, name)| name.starts_with(folder));
    assert!(never_staged, "{gone:?}");
    let seen = || pyiceberg(json!({"type": "rest", "uri": format!("http://{}", rustberg.address)}), Some(&moto));
    assert_eq!((&seen()["rows"], &seen()["ids"]), (&json!(RUNS * 4), &json!(RUNS * 4)));

    rest.plan(one_lost_answer());
    let doomed = Doomed::Tenant { ns: "default".to_owned(), actor: None };
    let deleted = lake.delete(&doomed, &CompactionLimits::default(), EPOCH).await.expect("deletes").expect("something");
    assert_eq!((deleted.rows, deleted.files_after, rows_in(&lake).await), (RUNS * 4, 0, 0));
    assert_eq!(seen()["rows"], json!(0));
}
