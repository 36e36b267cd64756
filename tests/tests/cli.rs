//! The command line against a running node.

use watershed_tests::server::Server;

#[test]
fn sample_telemetry_is_sent_followed_queried_and_drawn() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let (_, sent) = server.cli(&["send", "--count", "12"]);
    let said = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert!(sent.status.success() && said.contains("12 records are durable"), "{said}");
    let trace = said.split("watershed trace ").nth(1).expect("a hint").trim().to_owned();
    for kind in ["log", "metric"] {
        assert!(server.cli(&["send", "--kind", kind, "--count", "3"]).1.status.success());
    }

    let (drawn, _) = server.cli(&["trace", &trace]);
    assert_eq!(drawn.lines().count(), 4, "{drawn}");
    assert!(drawn.contains("checkout GET /") && drawn.contains('█'), "{drawn}");
    assert_eq!(server.cli(&["trace", "00000000000000000000000000000001"]).1.status.code(), Some(1));

    let sql = "SELECT event_type, count(*) AS n FROM events GROUP BY 1 ORDER BY 1";
    assert_eq!(server.cli(&["query", "--format", "csv", sql]).0, "event_type,n\nlog,3\nmetric,3\ntrace,12\n");
    let json: serde_json::Value = serde_json::from_str(&server.cli(&["query", "--format", "json", sql]).0).expect("JSON");
    assert_eq!(json[2], serde_json::json!({"event_type": "trace", "n": 12}));
    assert!(server.cli(&["query", sql]).0.contains("| metric     | 3  |"));
    let since = "SELECT count(*) AS n FROM events WHERE timestamp > $since";
    assert_eq!(server.cli(&["query", "--format", "csv", "--since", "1h", since]).0, "n\n18\n");
    let (_, refused) = server.cli(&["query", "DROP TABLE events"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("refused"));

    let (followed, ended) = server.cli(&["tail", "--from", "earliest", "--type", "log", "--count", "2", "--format", "ndjson"]);
    let first: serde_json::Value = serde_json::from_str(followed.lines().next().expect("a line")).expect("JSON");
    assert_eq!((followed.lines().count(), first["service_name"].as_str()), (2, Some("orders")), "{followed}");
    assert!(String::from_utf8_lossy(&ended.stderr).contains("go on with:  watershed tail --from "));

    let status: serde_json::Value = serde_json::from_str(&server.cli(&["status", "--json"]).0).expect("JSON");
    assert_eq!(
        status["shards"]
            .as_array()
            .expect("shards")
            .iter()
            .map(|shard| shard["tail_seq"].as_u64().expect("a seq") - 1)
            .sum::<u64>(),
        18
    );
}
