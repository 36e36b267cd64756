//! A node as a process of its own: reads commands from standard input, answers on standard output.

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use watershed_peer::{CallError, Config, Fabric, Refused, Request, Security, Service};
use watershed_schema::NodeId;

pub(crate) const ECHO: u8 = 1;
/// Answers once somebody has asked to [`RELEASE`].
pub(crate) const HOLD: u8 = 2;
pub(crate) const REFUSE: u8 = 3;
pub(crate) const SIZED: u8 = 4;
pub(crate) const PANIC: u8 = 5;
pub(crate) const WHO: u8 = 6;
pub(crate) const SWALLOW: u8 = 7;
pub(crate) const RELEASE: u8 = 8;

/// What the nodes of the tests answer with.
struct Answers {
    begun: AtomicU64,
    ended: AtomicU64,
    held: Semaphore,
}

impl Default for Answers {
    fn default() -> Self {
        Self { begun: AtomicU64::new(0), ended: AtomicU64::new(0), held: Semaphore::new(0) }
    }
}

#[async_trait]
impl Service for Answers {
    async fn call(&self, from: NodeId, kind: u8, group: u32, body: Bytes) -> Result<Bytes, Refused> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let answer = match kind {
            ECHO => Ok(body),
            HOLD => {
                self.held.acquire().await.expect_err("it has no permits and is closed by a release");
                Ok(Bytes::new())
            }
            RELEASE => {
                self.held.close();
                Ok(Bytes::new())
            }
            SIZED => Ok(vec![0; group as usize].into()),
            PANIC => panic!("asked to"),
            WHO => Ok(from.to_string().into()),
            SWALLOW => Ok(Bytes::new()),
            _ => Err(Refused(format!("kind {kind} is unknown"))),
        };
        self.ended.fetch_add(1, Ordering::SeqCst);
        answer
    }
}

/// Runs a node until standard input ends.
pub(crate) fn run() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_max_level(tracing::Level::INFO).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    runtime.block_on(serve());
}

async fn serve() {
    let mut lines = lines();
    let config = config(&lines.recv().await.expect("settings come first"));
    let answers = Arc::new(Answers::default());
    let fabric = match Fabric::start(config, Arc::clone(&answers) as Arc<dyn Service>).await {
        Ok(fabric) => Arc::new(fabric),
        Err(error) => return say("0", &format!("err {error}")),
    };
    say("0", &format!("ok {} {}", fabric.address(), fabric.boot()));
    while let Some(line) = lines.recv().await {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if words[1] == "stop" {
            let fabric = Arc::into_inner(fabric).expect("no command is under way");
            fabric.stop().await;
            return say(&words[0], "ok");
        }
        let (fabric, answers) = (Arc::clone(&fabric), Arc::clone(&answers));
        tokio::spawn(async move { say(&words[0], &obey(&fabric, &answers, &words[1..]).await) });
    }
}

fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1024);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn say(id: &str, what: &str) {
    let line = format!("\n@{id} {}\n", what.replace('\n', " "));
    std::io::stdout().lock().write_all(line.as_bytes()).expect("the test listens");
}

/// `node cluster listen secret:… | mtls:folder`
fn config(line: &str) -> Config {
    let words: Vec<&str> = line.split_whitespace().collect();
    let security = match words[3].split_once(':').expect("kind:value") {
        ("secret", secret) => Security::Secret(secret.to_owned()),
        (_, folder) => {
            let file = |name: &str| Path::new(folder).join(name);
            Security::Mtls { cert: file("cert.pem"), key: file("key.pem"), ca: file("ca.pem") }
        }
    };
    let me = NodeId(number(words[0]));
    let listen = words[2].parse().expect("address");
    Config { me, cluster: words[1].to_owned(), cluster_id: String::new(), listen, advertise: None, security }
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("{word} is not a number"))
}

async fn obey(fabric: &Fabric, answers: &Answers, words: &[String]) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["set", node, address] => done(fabric.set_peer(NodeId(number(node)), address).await),
        ["remove", node] => {
            fabric.remove_peer(NodeId(number(node))).await;
            "ok".to_owned()
        }
        ["forget", node] => {
            fabric.forget_peer(NodeId(number(node))).await;
            "ok".to_owned()
        }
        ["seed", address] => done(fabric.dial_seed(address).await),
        ["wait", node, millis] => {
            let deadline = Duration::from_millis(number(millis));
            format!("ok {}", fabric.connected(NodeId(number(node)), deadline).await)
        }
        ["call", node, rest @ ..] => {
            let (request, deadline) = request(rest);
            let begun = Instant::now();
            let result = fabric.call(NodeId(number(node)), request, deadline).await;
            told(&result, begun.elapsed())
        }
        ["pound", node, workers, millis, rest @ ..] => {
            pound(fabric, NodeId(number(node)), (number(workers), Duration::from_millis(number(millis))), rest).await
        }
        ["peers"] => peers(fabric),
        ["again"] => {
            let config = config("9 east 127.0.0.1:0 secret:0123456789abcdef");
            let second = Fabric::start(config, Arc::new(Answers::default())).await;
            format!("err {}", second.err().expect("one for each process"))
        }
        ["count"] => format!("ok {} {}", answers.begun.load(Ordering::SeqCst), answers.ended.load(Ordering::SeqCst)),
        _ => format!("err unknown command {words:?}"),
    }
}

fn done<T: std::fmt::Debug>(result: Result<T, watershed_peer::DialError>) -> String {
    match result {
        Ok(value) => format!("ok {value:?}"),
        Err(error) => format!("err {error}"),
    }
}

/// `kind group body-bytes deadline-ms answer-bytes [urgent]`
fn request(words: &[&str]) -> (Request, Duration) {
    let body = vec![7; number(words[2])].into();
    let request = Request::new(number(words[0]), number(words[1]), body).answer_bytes_max(number(words[4]));
    let request = if words.get(5) == Some(&"urgent") { request.urgent() } else { request };
    (request, Duration::from_millis(number(words[3])))
}

fn told(result: &Result<Bytes, CallError>, took: Duration) -> String {
    match result {
        Ok(body) => format!("ok {} {} {}", took.as_millis(), body.len(), String::from_utf8_lossy(&body[..body.len().min(20)])),
        Err(error) => format!("err {} {} {error}", took.as_millis(), variant(error)),
    }
}

fn variant(error: &CallError) -> String {
    format!("{error:?}").chars().take_while(|letter| letter.is_alphabetic()).collect()
}

/// Many workers that call without a pause; how the calls ended.
async fn pound(fabric: &Fabric, to: NodeId, (workers, how_long): (usize, Duration), words: &[&str]) -> String {
    let until = Instant::now() + how_long;
    let worker = || async {
        let (mut good, mut bad) = (0_u64, 0_u64);
        while Instant::now() < until {
            let (request, deadline) = request(words);
            match fabric.call(to, request, deadline).await {
                Ok(_) => good += 1,
                Err(error) => {
                    bad += 1;
                    if matches!(error, CallError::Unreachable { .. }) {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
            }
        }
        (good, bad)
    };
    let ended = futures::future::join_all((0..workers).map(|_| worker())).await;
    let (good, bad) = ended.into_iter().fold((0, 0), |(good, bad), (more, worse)| (good + more, bad + worse));
    format!("ok {good} {bad}")
}

/// `node=boot,connected-since-µs,rtt-µs,misses` or `node=down,reason`, one for each peer, separated by `;`.
fn peers(fabric: &Fabric) -> String {
    let told = fabric.peers().into_iter().map(|peer| match peer.session {
        Some(session) => {
            let since = session.connected_since.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_micros();
            let rtt = session.rtt.unwrap_or_default().as_micros();
            format!("{}={},{since},{rtt},{}", peer.node, session.boot, session.misses)
        }
        None => format!("{}=down,{}", peer.node, peer.last_error.unwrap_or_default()),
    });
    format!("ok {}", told.collect::<Vec<_>>().join(";"))
}
