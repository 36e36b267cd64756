//! Lakes in buckets and behind a REST catalog, against real servers; PyIceberg reads what was written.

#[path = "support/servers.rs"]
mod servers;
#[path = "support/signatures.rs"]
mod signatures;
#[path = "support/lake.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use watershed_catalog::SqliteCatalog;
use watershed_lake::storage::{Files, Keys, S3};
use watershed_lake::{Lake, rest};
use watershed_schema::{Column, Epoch, ShardId};

use servers::{BUCKET, Moto, Rustberg, pyiceberg};
use support::{request, rows, rows_in};

const PART_BYTES: usize = 8 << 20;

fn rest_settings(rustberg: &Rustberg) -> rest::Settings {
    rest::Settings {
        uri: format!("http://{}/", rustberg.address),
        warehouse: Some(format!("s3://{BUCKET}/rest")),
        prefix: None,
        login: rest::Login::None,
        vended: false,
        request_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(5),
    }
}

async fn commit_some(lake: &Lake) {
    let ours = request(lake, &rows(ShardId(3), (1, 8), "../log"), Epoch(1)).await;
    lake.commit(&ours).await.expect("commits");
    assert_eq!(rows_in(lake).await, 7);
}

/// All columns with our numbers, partitions, order and properties.
fn expect_whole(seen: &Value) {
    assert_eq!((&seen["rows"], &seen["places"], &seen["placed"]), (&json!(7), &json!(7), &json!(7)), "{seen}");
    let fields: Value =
        Column::ALL.iter().map(|column| (column.name().to_owned(), json!(column.id()))).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(seen["fields"], fields);
    assert_eq!(seen["partitions"], json!(["hour(timestamp)", "identity(event_type)"]));
    assert_eq!(seen["sorted"], json!(["ns", "trace_id", "timestamp"]));
    assert_eq!(seen["properties"]["commit.retry.num-retries"], "0");
    assert_eq!(seen["properties"]["watershed.watermark"], r#"{"3":8}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_bucket_are_whole_and_read_in_ranges() {
    let moto = Moto::start();
    let io = Files::new(moto.s3()).io();
    for size in [0, 10, PART_BYTES * 2 + 77] {
        let path = format!("s3://{BUCKET}/a b/%2E%2E/{size}.bin");
        let bytes: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).expect("small")).collect();
        io.new_output(&path).expect("known").write(bytes.clone().into()).await.expect("writes");
        let input = io.new_input(&path).expect("known");
        assert_eq!(input.metadata().await.expect("is there").size, size as u64);
        assert_eq!(input.read().await.expect("reads"), bytes);
        if size > 10 {
            let part = input.reader().await.expect("opens").read(7..size as u64 - 3).await.expect("reads");
            assert_eq!(part, bytes[7..size - 3]);
        }
        io.delete(&path).await.expect("deletes");
        assert!(!io.exists(&path).await.expect("answers"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_from_a_file_open_a_bucket() {
    let (moto, dir) = (Moto::start(), tempfile::tempdir().expect("a folder"));
    let path = dir.path().join("credentials");
    std::fs::write(&path, "[lake]\naws_access_key_id = test\naws_secret_access_key = test\n").expect("a file");
    let keys = |profile: &str| Keys::File { path: path.clone(), profile: profile.to_owned() };
    let at = format!("s3://{BUCKET}/x");
    let io = Files::new(S3 { keys: keys("lake"), ..moto.s3() }).io();
    io.new_output(&at).expect("known").write("x".into()).await.expect("writes");
    let other = Files::new(S3 { keys: keys("other"), ..moto.s3() }).io();
    let refused = other.new_output(&at).expect("known").write("x".into()).await.expect_err("no such section");
    assert!(format!("{refused}").contains("[other]"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_checks_signatures_knows_ours_from_a_guessers() {
    let (moto, dir) = (Moto::start(), tempfile::tempdir().expect("a folder"));
    let user = signatures::User::only_of(&moto);
    let io = Files::new(user.s3()).io();
    // Parts of one object, and names that a signature spells otherwise than an address does.
    let (at, bytes) = (format!("s3://{BUCKET}/a b/ü=+,%2E.bin"), vec![7; PART_BYTES + 1]);
    io.new_output(&at).expect("known").write(bytes.clone().into()).await.expect("writes");
    assert_eq!(
        io.new_input(&at).expect("known").reader().await.expect("opens").read(3..bytes.len() as u64).await.expect("reads"),
        bytes[3..]
    );
    let guesser = Files::new(user.s3_of_a_guesser()).io();
    let refused = guesser.new_output(&at).expect("known").write("x".into()).await.expect_err("another secret");
    assert!(format!("{refused:?}").contains("SignatureDoesNotMatch"), "{refused:?}");
    assert_eq!(io.new_input(&at).expect("known").metadata().await.expect("is there").size, bytes.len() as u64);
    let (db, warehouse) = (dir.path().join("catalog.db"), format!("s3://{BUCKET}/signed"));
    let catalog = SqliteCatalog::open(&db, "watershed", &warehouse, io).await.expect("opens");
    commit_some(&Lake::open(Arc::new(catalog)).await.expect("opens")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_file_and_a_bucket_make_a_lake() {
    let (moto, dir) = (Moto::start(), tempfile::tempdir().expect("a folder"));
    let (db, warehouse) = (dir.path().join("catalog.db"), format!("s3://{BUCKET}/some/prefix"));
    let catalog = SqliteCatalog::open(&db, "watershed", &warehouse, Files::new(moto.s3()).io()).await.expect("opens");
    let lake = Lake::open(Arc::new(catalog)).await.expect("opens");
    commit_some(&lake).await;
    let properties = json!({"type": "sql", "uri": format!("sqlite:///{}", db.display()), "warehouse": warehouse});
    expect_whole(&pyiceberg(properties, Some(&moto)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_catalog_and_a_bucket_make_a_lake() {
    let moto = Moto::start();
    let rustberg = Rustberg::start(&moto);
    let catalog = rest::catalog(&rest_settings(&rustberg), &Files::new(moto.s3())).await.expect("settings");
    let lake = Lake::open(Arc::clone(&catalog)).await.expect("opens");
    Lake::open(catalog).await.expect("opens what is there");
    commit_some(&lake).await;
    expect_whole(&pyiceberg(json!({"type": "rest", "uri": format!("http://{}", rustberg.address)}), Some(&moto)));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_nodes_make_one_table() {
    let moto = Moto::start();
    let rustberg = Rustberg::start(&moto);
    let (settings, files) = (rest_settings(&rustberg), Files::new(moto.s3()));
    let open = || async { Lake::open(rest::catalog(&settings, &files).await.expect("settings")).await };
    let (a, b, c) = tokio::join!(open(), open(), open());
    commit_some(&a.expect("opens")).await;
    assert_eq!(rows_in(&b.expect("opens")).await, 7);
    assert_eq!(rows_in(&c.expect("opens")).await, 7);
}
