//! What the lake refuses for good: put aside, told, replayed once, also when the process dies over it.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt as _;
use watershed_client::{Client, Filter, GapReason, Start};
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::server::Server;
use watershed_tests::{curl, number, until};

const FLAGS: [&str; 4] = ["--flush-interval", "1s", "--set", "archive_attempts=2"];
const TRIMS: &str = "trim::without_dedupe_window=return";
const COUNT: &str = "SELECT count(*) FROM events";
const IN_HOT: &str = "SELECT count(*) FROM events WHERE _tier = 'hot'";

async fn send(server: &Server, first: u64, count: u64) {
    Exporter::connect(&server.grpc).await.traces(spans(first, count)).await.expect("acknowledged");
}

async fn letters(client: &Client) -> Vec<watershed_client::DeadLetter> {
    client.dead_letters().await.expect("answers")
}

fn rows(letters: &[watershed_client::DeadLetter]) -> u64 {
    letters.iter().map(|letter| letter.rows).sum()
}

/// A node whose lake has refused so many rows of `default` and of `acme`, and a client of it.
async fn given_up(dir: &Path, (ours, theirs): (u64, u64)) -> (Server, Client) {
    let server = Server::start_with(dir, &FLAGS, &[("FAILPOINTS", "lake::refused=return")]).expect("starts");
    let client = server.client().await;
    send(&server, 0, ours).await;
    Exporter::connect(&server.grpc).await.with_tenant("acme").traces(spans(0, theirs)).await.expect("acknowledged");
    until("all rows are given up", async || rows(&letters(&client).await) == ours + theirs).await;
    (server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_rows_are_kept_and_come_back_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start_with(dir.path(), &FLAGS, &[("FAILPOINTS", "lake::refused=return")]).expect("starts");
    let client = server.client().await;
    send(&server, 0, 100).await;
    assert_eq!(number(&client, COUNT).await, 100);
    until("the rows are given up", async || letters(&client).await.len() == 1).await;
    let letter = &letters(&client).await[0];
    assert_eq!((letter.rows, letter.attempts), (100, 2));
    assert!(letter.reason.contains("refused by a fail point"), "{}", letter.reason);
    let refused = client.replay_dead_letters(Vec::new()).await.expect("answers");
    assert!(refused[0].refused.contains("refused by a fail point"), "still: {refused:?}");
    assert_eq!(letters(&client).await.len(), 1, "what is refused again stays");
    server.kill();

    let mut server = Server::start_with(dir.path(), &FLAGS, &[("FAILPOINTS", "archive::after_replay=panic")]).expect("starts");
    let client = server.client().await;
    send(&server, 100, 50).await;
    until("the next rows are archived", async || number(&client, IN_HOT).await == 0).await;
    assert_eq!(number(&client, COUNT).await, 50, "rows behind a dead letter are archived");
    client.replay_dead_letters(Vec::new()).await.expect_err("dies after the commit, before the letter is gone");
    until("it dies", async || !server.is_running()).await;

    let server = Server::start(dir.path(), &FLAGS);
    let client = server.client().await;
    until("what the crash cut short is ended", async || letters(&client).await.is_empty()).await;
    let unknown = client.replay_dead_letters(vec!["9-1-2".to_owned()]).await.expect("answers");
    assert!(unknown[0].refused.contains("no such letter"), "{unknown:?}");
    assert_eq!(number(&client, COUNT).await, 150);
    assert_eq!(number(&client, "SELECT count(DISTINCT id) FROM events").await, 150, "each once");
}

/// Between the letter's file and the log, as a node that was deposed in between leaves it.
#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_no_log_names_is_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let dies = [("FAILPOINTS", "lake::refused=return;archive::before_staged=panic")];
    let mut server = Server::start_with(dir.path(), &FLAGS, &dies).expect("starts");
    send(&server, 0, 100).await;
    until("it dies", async || !server.is_running()).await;
    let file = std::fs::read_dir(dir.path().join("lake/warehouse/watershed/events/_dead_letters")).expect("a folder").next();
    assert!(file.is_some_and(|file| file.is_ok()), "the letter was written");

    let server = Server::start(dir.path(), &FLAGS);
    let client = server.client().await;
    until("the rows are archived after all", async || number(&client, IN_HOT).await == 0).await;
    assert_eq!(letters(&client).await, []);
    assert_eq!(client.replay_dead_letters(Vec::new()).await.expect("answers"), []);
    assert_eq!(number(&client, COUNT).await, 100, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_shown_and_given_up_on_the_command_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let (server, client) = given_up(dir.path(), (3, 40)).await;
    let told = letters(&client).await;
    let ours = told.iter().find(|letter| letter.tenants.iter().any(|name| name == "default")).expect("a letter");

    let (list, _) = server.cli(&["lake", "dead-letters", "list"]);
    let names = |text: &str| text.lines().filter(|line| told.iter().any(|letter| line.starts_with(&letter.name))).count();
    assert!(names(&list) == told.len() && list.contains("refused by a fail point"), "{list}");
    let (shown, _) = server.cli(&["lake", "dead-letters", "show", &ours.name, "--limit", "2"]);
    let events: Vec<_> = shown.lines().filter_map(|line| line.split_once("\tdefault\t")).collect();
    let event: serde_json::Value = serde_json::from_str(events[0].1).expect("JSON");
    assert_eq!((events.len(), &event["event_type"]), (2, &"trace".into()), "{shown}");
    let (_, none) = server.cli(&["lake", "dead-letters", "show", "9-1-2"]);
    assert!(!none.status.success() && String::from_utf8_lossy(&none.stderr).contains("no letter 9-1-2"), "{none:?}");

    assert!(!server.cli(&["lake", "dead-letters", "purge"]).1.status.success(), "nobody means all by saying nothing");
    let nameless = client.purge_dead_letters(Vec::new()).await.expect_err("is refused").to_string();
    assert!(nameless.contains("names"), "{nameless}");
    let (purged, done) = server.cli(&["lake", "dead-letters", "purge", &ours.name]);
    assert!(done.status.success() && purged.contains(&format!("{}\t{} rows are gone", ours.name, ours.rows)), "{purged}");
    assert_eq!(rows(&letters(&client).await), 43 - ours.rows);
    assert!(server.cli(&["lake", "dead-letters", "purge", "--all"]).1.status.success());
    assert_eq!(letters(&client).await, []);
    let left = std::fs::read_dir(dir.path().join("lake/warehouse/watershed/events/_dead_letters")).expect("a folder").count();
    assert_eq!(left, 0, "their files are gone");
    server.kill();

    let server = Server::start(dir.path(), &FLAGS);
    let client = server.client().await;
    assert_eq!(letters(&client).await, [], "it stays like that");
    assert_eq!(number(&client, COUNT).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_does_not_come_back_from_a_dead_letter() {
    let dir = tempfile::tempdir().expect("a folder");
    let (server, _) = given_up(dir.path(), (30, 40)).await;
    server.kill();

    let server = Server::start(dir.path(), &FLAGS);
    let (ours, theirs) = (server.client().await, server.client().await.with_tenant("acme").expect("a name"));
    let steps = theirs.delete_rows(None).await.expect("deletes");
    let told: Vec<_> = steps.iter().filter(|step| step.job == "dead-letters").collect();
    assert_eq!(told.iter().map(|step| step.rows_removed).sum::<u64>(), 40, "{steps:?}");
    assert_eq!(rows(&letters(&ours).await), 30, "the others' stay");
    let replayed = ours.replay_dead_letters(Vec::new()).await.expect("answers");
    assert!(!replayed.is_empty() && replayed.iter().all(|one| one.refused.is_empty()), "{replayed:?}");
    assert_eq!((number(&ours, COUNT).await, number(&theirs, COUNT).await), (30, 0));
}

/// What a stream from the beginning tells: seqs that it does not get, and those of events.
async fn told(client: &Client, until_told: usize) -> (Vec<u64>, Vec<u64>) {
    let (mut lost, mut events) = (Vec::new(), Vec::new());
    let mut stream = client.subscribe(Filter::default(), Start::Earliest);
    while lost.len() + events.len() < until_told {
        let item = tokio::time::timeout(Duration::from_secs(30), stream.next()).await;
        let item = item.unwrap_or_else(|_late| panic!("not told: {lost:?} are lost, {events:?} came"));
        let item = item.expect("does not end").expect("without a hole");
        events.extend(item.events.iter().map(|(seq, _)| *seq));
        if let Some(gap) = item.lost {
            assert_eq!(gap.reason, GapReason::DeadLetter);
            lost.extend(gap.seqs);
        }
    }
    (lost, events)
}

/// A node whose file holds nothing below `seq`. Readers are told first that it is trimmed, its entries go from the file
/// after that and from memory with the process: so only a node that does not trim, and was started behind one, says it.
async fn let_go(dir: &Path, flags: &[&str], seq: u64) -> Server {
    let shard = async |server: &Server| server.client().await.status().await.expect("answers").shards[0].clone();
    for _ in 0..10 {
        let trims = Server::start_with(dir, flags, &[("FAILPOINTS", TRIMS)]).expect("starts");
        until("it is trimmed", async || shard(&trims).await.trimmed_seq == seq).await;
        trims.kill();
        let server = Server::start(dir, flags);
        until("it knows what is archived", async || shard(&server).await.archived_seq == seq).await;
        if shard(&server).await.trimmed_seq == seq {
            return server;
        }
        server.kill();
    }
    panic!("ten times it died before its entries were gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_from_the_lake_is_told_what_the_lake_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = [&FLAGS[..], &["--shards", "1", "--hot-retention", "1s"]].concat();
    let refuses = format!("lake::refused=return;{TRIMS}");
    let server = Server::start_with(dir.path(), &flags, &[("FAILPOINTS", &refuses)]).expect("starts");
    send(&server, 0, 30).await;
    Exporter::connect(&server.grpc).await.with_tenant("acme").traces(spans(0, 40)).await.expect("acknowledged");
    send(&server, 30, 20).await;
    let client = server.client().await;
    until("all rows are given up", async || rows(&letters(&client).await) == 90).await;
    // Until the log says so, they would be archived again.
    until("that is committed", async || client.status().await.expect("answers").shards[0].archived_seq == 91).await;
    server.kill();

    let server = Server::start_with(dir.path(), &flags, &[("FAILPOINTS", TRIMS)]).expect("starts");
    send(&server, 50, 20).await;
    server.kill();
    let server = let_go(dir.path(), &flags, 111).await;
    let (ours, theirs) = (server.client().await, server.client().await.with_tenant("acme").expect("a name"));
    let (lost, events) = told(&ours, 70).await;
    let letters: Vec<_> = (1..31).chain(71..91).collect();
    assert_eq!((lost, events), (letters, (91..111).collect()), "each tenant's own");
    assert_eq!(told(&theirs, 40).await, ((31..71).collect(), vec![]));

    let mut lines = curl::Lines::open(&format!("{}/v1/stream?from=earliest", server.http));
    let gap = std::iter::from_fn(|| Some(lines.next_line())).find(|line| line.contains("\"gap\"")).expect("comes");
    assert!(gap.contains(r#""from_seq":1,"to_seq":31,"reason":"dead_letter""#), "{gap}");
}
