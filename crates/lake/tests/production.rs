//! The commit protocol over a real S3 server and a real REST catalog, with a proxy before each that refuses, cuts,
//! delays, and does what it says it did not: every row is in the lake once.

#[path = "support/nemesis.rs"]
mod nemesis;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/servers.rs"]
mod servers;
#[path = "support/lake.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array as _, Int32Array, Int64Array};
use futures::TryStreamExt as _;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;
use watershed_lake::storage::Files;
use watershed_lake::{CommitRequest, CompactionLimits, Lake, LakeError, Rows, Staged, StagedRange, rest};
use watershed_schema::{Epoch, Seq, ShardId};

use nemesis::{catalog_faults, storage_faults};
use proxy::{Asked, Fault, Proxy};
use servers::{BUCKET, Moto, Rustberg, pyiceberg, s3_at};
use support::rows;

/// Longest time of one request; slow answers come later than that.
const REQUEST_MAX: Duration = Duration::from_millis(1_500);
const RUN_MAX: Duration = Duration::from_secs(200);

struct World {
    moto: Moto,
    rustberg: Rustberg,
    s3: Proxy,
    rest: Proxy,
}

fn fine(_: &Asked) -> Option<Fault> {
    None
}

impl World {
    async fn start() -> Self {
        let moto = Moto::start();
        let rustberg = Rustberg::start(&moto);
        let s3 = Proxy::start(moto.address, fine).await;
        let rest = Proxy::start(rustberg.address, fine).await;
        Self { moto, rustberg, s3, rest }
    }

    /// A lake behind both proxies; each has connections of its own.
    async fn lake(&self) -> Lake {
        self.lake_as(rest::Login::None).await.expect("opens")
    }

    async fn lake_as(&self, login: rest::Login) -> Result<Lake, LakeError> {
        let mut s3 = s3_at(self.s3.address);
        s3.request_timeout = REQUEST_MAX;
        let settings = rest::Settings {
            uri: format!("http://{}", self.rest.address),
            warehouse: Some(format!("s3://{BUCKET}/rest")),
            prefix: None,
            login,
            vended: false,
            request_timeout: REQUEST_MAX,
            connect_timeout: REQUEST_MAX,
        };
        let lake = Lake::open(rest::catalog(&settings, &Files::new(s3)).await?).await?;
        Ok(lake.with_updates(rest::updates(&settings)?))
    }

    fn calm(&self) {
        self.s3.plan(fine);
        self.rest.plan(fine);
    }

    fn injected(&self) -> BTreeMap<String, usize> {
        let named = |place: &'static str, proxy: &Proxy| {
            proxy.injected().into_iter().map(move |(fault, count)| (format!("{place}: {fault}"), count))
        };
        named("s3", &self.s3).chain(named("rest", &self.rest)).collect()
    }

    /// Both readers find every row below these numbers once, and nothing else.
    async fn expect_once(&self, lake: &Lake, behind: &[(ShardId, u64)]) {
        let watermark = lake.watermark().await.expect("reads");
        assert_eq!(watermark, behind.iter().map(|(shard, to)| (*shard, Seq(*to))).collect());
        let expected: Vec<_> = behind.iter().flat_map(|(shard, to)| (1..*to).map(|seq| (shard.0, seq))).collect();
        assert_eq!(places(lake).await, expected, "our reader");
        let seen = pyiceberg(json!({"type": "rest", "uri": format!("http://{}", self.rustberg.address)}), Some(&self.moto));
        let count = json!(expected.len());
        assert_eq!((&seen["rows"], &seen["places"], &seen["placed"]), (&count, &count, &count), "PyIceberg");
    }
}

/// Shard and number of every row, in order, read from the Parquet files.
async fn places(lake: &Lake) -> Vec<(u16, u64)> {
    let scan = lake.pin().await.expect("pins").table.scan().select(["_shard", "_seq"]).build().expect("a scan");
    let batches: Vec<_> = scan.to_arrow().await.expect("reads").try_collect().await.expect("reads");
    let mut places = Vec::new();
    for batch in batches {
        let shards = batch.column(0).as_any().downcast_ref::<Int32Array>().expect("shards");
        let seqs = batch.column(1).as_any().downcast_ref::<Int64Array>().expect("numbers");
        assert_eq!((shards.null_count(), seqs.null_count()), (0, 0));
        let pairs = shards.values().iter().zip(seqs.values());
        places.extend(pairs.map(|(shard, seq)| (u16::try_from(*shard).expect("small"), u64::try_from(*seq).expect("positive"))));
    }
    places.sort_unstable();
    places
}

/// Like the archiver: as long as the lake does not answer, the same again.
async fn written(lake: &Lake, rows: &Rows, epoch: Epoch) -> CommitRequest {
    loop {
        match lake.write(rows, epoch).await {
            Ok(files) => {
                let range = StagedRange { shard: rows.shard, from_seq: rows.from_seq, to_seq: rows.to_seq, files };
                return CommitRequest { ranges: vec![range], replayed: Staged::default(), epoch, commit_id: Uuid::now_v7() };
            }
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
}

async fn committed(lake: &Lake, request: &CommitRequest) {
    while let Err(error) = lake.commit(request).await {
        assert!(error.is_retryable(), "{error}");
    }
}

/// Moves rows of one shard into the lake until enough went wrong; how far it came.
async fn archive(world: Arc<World>, shard: ShardId, faults_wanted: usize) -> (ShardId, u64) {
    let (lake, mut next, end) = (world.lake().await, 1, Instant::now() + RUN_MAX);
    while world.injected().values().sum::<usize>() < faults_wanted {
        assert!(Instant::now() < end, "too slow: {:?}", world.injected());
        let request = written(&lake, &rows(shard, (next, next + 3), "log"), Epoch(1)).await;
        committed(&lake, &request).await;
        next += 3;
    }
    (shard, next)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_in_the_lake_once_after_hundreds_of_faults() {
    let world = Arc::new(World::start().await);
    world.s3.plan(storage_faults(7, REQUEST_MAX));
    world.rest.plan(catalog_faults(11, REQUEST_MAX));
    let shards = [0, 1, 2].map(ShardId);
    let all: JoinSet<_> = shards.into_iter().map(|shard| archive(Arc::clone(&world), shard, 220)).collect();
    let mut behind = all.join_all().await;
    behind.sort_unstable();
    world.calm();
    let injected = world.injected();
    println!("{injected:#?}, rows up to {behind:?}");
    assert!(injected.values().sum::<usize>() >= 200, "{injected:?}");
    for needed in ["s3: applied, answered 500", "rest: applied, answered 500", "rest: refused with 409", "rest: cut after"] {
        assert!(injected.contains_key(needed), "{needed}: {injected:?}");
    }
    world.expect_once(&world.lake().await, &behind).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_committer_is_fenced() {
    let world = World::start().await;
    let (old, new) = (world.lake().await, world.lake().await);
    let first = written(&old, &rows(ShardId(0), (1, 4), "log"), Epoch(1)).await;
    committed(&old, &first).await;
    let gate = Arc::new(Semaphore::new(0));
    let late = written(&old, &rows(ShardId(0), (4, 9), "log"), Epoch(1)).await;
    // After the table was examined: the commit itself, or another look at the table, should there be one.
    let (mut held, mut looks) = (Some(Fault::Held(Arc::clone(&gate))), 0);
    world.rest.plan(move |asked| {
        looks += usize::from(asked.method == "GET");
        if asked.method == "POST" || looks == 2 { held.take() } else { None }
    });
    let zombie = tokio::spawn(async move { old.commit(&late).await });
    until(|| world.rest.injected().contains_key("held")).await;
    let taken = written(&new, &rows(ShardId(0), (4, 7), "log"), Epoch(2)).await;
    committed(&new, &taken).await;
    gate.add_permits(1);
    let fenced = zombie.await.expect("no panic");
    assert!(matches!(fenced, Err(LakeError::Fenced { ours: Epoch(1), stored: Epoch(2) })), "{fenced:?}");
    world.expect_once(&new, &[(ShardId(0), 7)]).await;
}

async fn until(mut is_true: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_true() {
        assert!(Instant::now() < end, "never came true");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_renewed() {
    let world = World::start().await;
    let issuer = issuer::start().await;
    let door = issuer.door();
    world.rest.plan(move |asked| door(asked).then_some(Fault::Refused(401)));
    let login = rest::Login::Client {
        id: "me".to_owned(),
        secret: watershed_lake::Secret::new("secret"),
        token_uri: Some(format!("http://{}/token", issuer.address)),
        scope: None,
    };
    let lake = world.lake_as(login).await.expect("opens");
    for from in [1, 4, 7] {
        committed(&lake, &written(&lake, &rows(ShardId(0), (from, from + 3), "log"), Epoch(1)).await).await;
    }
    assert!(issuer.issued() > 2, "{} tokens", issuer.issued());
    let before = issuer.issued();
    let done = lake.compact(&CompactionLimits::default(), Epoch(1)).await.expect("compacts").expect("something");
    assert_eq!((done.files_before, done.files_after), (3, 1));
    assert!(issuer.issued() > before, "a commit of our own asks for a token of its own");
    let wrong = world.lake_as(rest::Login::Token(watershed_lake::Secret::new("wrong"))).await.expect_err("refused");
    assert!(wrong.to_string().contains("401"), "{wrong}");
    world.expect_once(&lake, &[(ShardId(0), 10)]).await;
}

/// Gives out tokens that are good for a few requests.
mod issuer {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::Asked;

    const REQUESTS_MAX: usize = 7;

    pub(super) struct Issuer {
        pub(super) address: SocketAddr,
        issued: Arc<AtomicUsize>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Drop for Issuer {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    impl Issuer {
        pub(super) fn issued(&self) -> usize {
            self.issued.load(Ordering::SeqCst)
        }

        /// Whether a request is turned away: only the newest token opens, and only so often.
        pub(super) fn door(&self) -> impl Fn(&Asked) -> bool + Send + 'static {
            let (issued, asked_with) = (Arc::clone(&self.issued), AtomicUsize::new(0));
            let newest = AtomicUsize::new(0);
            move |asked| {
                let now = issued.load(Ordering::SeqCst);
                if newest.swap(now, Ordering::SeqCst) != now {
                    asked_with.store(0, Ordering::SeqCst);
                }
                let is_right = asked.authorization.as_deref() == Some(&format!("Bearer token-{now}"));
                !is_right || asked_with.fetch_add(1, Ordering::SeqCst) >= REQUESTS_MAX
            }
        }
    }

    pub(super) async fn start() -> Issuer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let issued = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(issue(listener, Arc::clone(&issued)));
        Issuer { address, issued, task }
    }

    async fn issue(listener: TcpListener, issued: Arc<AtomicUsize>) {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut asked = Vec::new();
            while !String::from_utf8_lossy(&asked).contains("client_secret=secret") {
                if client.read_buf(&mut asked).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let token = issued.fetch_add(1, Ordering::SeqCst) + 1;
            let body = format!(r#"{{"access_token":"token-{token}","token_type":"bearer","expires_in":60}}"#);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
            client.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await.ok();
        }
    }
}
