//! What a node that was started again knows of the lake's files: a lookup opens those that may hold the trace, and no other.

use std::fs;
use std::path::{Path, PathBuf};

use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::server::Server;
use watershed_tests::{number, until};

const IN_HOT: &str = "SELECT count(*) FROM events WHERE _tier = 'hot'";
const RUNS: u64 = 3;
const RUN: u64 = 40;
const FLAGS: [&str; 6] = ["--shards", "1", "--flush-interval", "1s", "--set", "lake_compaction=false"];

/// A trace's spans are four, its number ends in 01.
fn trace(number: u64, end: u8) -> String {
    format!("{:032x}", u128::from(number) << 8 | u128::from(end))
}

fn data_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = entries.flat_map(|path| if path.is_dir() { data_files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|ending| ending == "parquet")).collect()
}

fn ended(server: Server) {
    server.terminate();
    assert!(server.ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_opens_no_file_that_lacks_the_trace() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &FLAGS);
    let (client, exporter) = (server.client().await, Exporter::connect(&server.grpc).await);
    for run in 0..RUNS {
        exporter.traces(spans(run * RUN, RUN)).await.expect("acknowledged");
        until("it is archived", async || number(&client, IN_HOT).await == 0).await;
    }
    let (there, missing) = (trace(15, 1), trace(15, 2));
    assert_eq!(client.get_trace(&there).await.expect("reads").len(), 4);
    ended(server);

    // Who opens a file fails.
    let files = data_files(&dir.path().join("lake"));
    assert!(files.len() as u64 >= RUNS, "{files:?}");
    files.iter().for_each(|file| fs::rename(file, file.with_extension("away")).expect("moves"));
    let server = Server::start(dir.path(), &FLAGS);
    let client = server.client().await;
    assert!(client.get_trace(&missing).await.expect("no file is opened").is_empty());
    client.get_trace(&there).await.expect_err("its file is gone");
    ended(server);

    fs::remove_dir_all(dir.path().join("lake-cache")).expect("it is there");
    let server = Server::start(dir.path(), &FLAGS);
    server.client().await.get_trace(&missing).await.expect_err("files are asked for their filters");
    ended(server);
}
