//! What the lake says of itself on the command line: snapshots, files, sums; and the past in SQL.

use serde_json::Value;
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::server::Server;
use watershed_tests::{number, until};

const FLAGS: [&str; 2] = ["--flush-interval", "1s"];
const IN_HOT: &str = "SELECT count(*) FROM events WHERE _tier = 'hot'";

fn watershed(server: &Server, words: &[&str]) -> String {
    let (printed, output) = server.cli(words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    printed
}

fn json(server: &Server, words: &[&str]) -> Value {
    serde_json::from_str(&watershed(server, &[&["lake"], words, &["--json"]].concat())).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_files_and_sums_are_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &FLAGS);
    let client = server.client().await;
    assert_eq!(json(&server, &["snapshots"]), serde_json::json!([]));
    for first in [0, 100] {
        Exporter::connect(&server.grpc).await.traces(spans(first, 100)).await.expect("acknowledged");
        until("all is archived", async || number(&client, IN_HOT).await == 0).await;
    }
    let snapshots = json(&server, &["snapshots"]);
    let all = snapshots.as_array().expect("a list");
    assert!(all.len() > 1, "{snapshots}");
    assert_eq!((&all[0]["rows"], &all[0]["current"], &all[0]["operation"]), (&200.into(), &true.into(), &"append".into()));
    let oldest = &all[all.len() - 1];
    let past = number(&client, &format!("SELECT count(*) FROM events_at({})", oldest["snapshot"])).await;
    assert_eq!(Some(past), oldest["rows"].as_i64());

    let files = json(&server, &["files", "--partition", "hour="]);
    let (listed, stats) = (files["files"].as_array().expect("a list"), json(&server, &["stats"]));
    assert_eq!(listed.iter().filter_map(|file| file["rows"].as_i64()).sum::<i64>(), 200);
    assert_eq!((&stats["total"]["rows"], &stats["total"]["files"]), (&200.into(), &files["files_total"]));
    assert!(listed.iter().all(|file| file["shards"][0] == file["shards"][1]), "an archiver's file is of one shard: {files}");
    assert_eq!(json(&server, &["files", "--limit", "1"])["files"].as_array().map(Vec::len), Some(1));
    assert_eq!(json(&server, &["files", "--partition", "day="])["files_total"], 0);
    assert!(watershed(&server, &["lake", "stats"]).lines().last().is_some_and(|line| line.starts_with("all ")));
}
