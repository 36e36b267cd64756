//! SQL over HTTP, as a script would ask it.

use arrow::ipc::reader::StreamReader;
use serde_json::{Value, json};
use watershed_tests::curl::{self, Answer};
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::server::Server;

const JSON: &str = "Content-Type: application/json";

fn ask(server: &Server, headers: &[&str], question: &Value) -> Answer {
    let headers: Vec<&str> = headers.iter().copied().chain([JSON]).collect();
    curl::post(&format!("{}/v1/sql", server.http), &headers, question.to_string().as_bytes())
}

async fn filled(dir: &tempfile::TempDir) -> Server {
    let server = Server::start(dir.path(), &["--set", "query_rows=100"]);
    Exporter::connect(&server.grpc).await.traces(spans(0, 50)).await.expect("acknowledged");
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_rows_come_in_every_form() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = filled(&dir).await;
    let sql = "SELECT event_name, count(*) AS n, max(actor_name) AS nobody FROM events GROUP BY 1 ORDER BY 1";
    let of = |format: &str| ask(&server, &[], &json!({ "sql": sql, "format": format }));
    let rows: Vec<Value> = serde_json::from_str(&of("json").body).expect("an array");
    assert_eq!(rows.iter().map(|row| row["n"].as_i64().expect("a number")).sum::<i64>(), 50);
    assert!(rows.iter().all(|row| row.get("nobody").is_none()), "no value, no field: {rows:?}");
    let lines = of("ndjson").body;
    assert_eq!(lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object")).collect::<Vec<_>>(), rows);
    let csv = of("csv").body;
    let table: Vec<String> =
        rows.iter().map(|row| format!("{},{},", row["event_name"].as_str().expect("a text"), row["n"])).collect();
    assert_eq!(csv.lines().collect::<Vec<_>>(), [vec!["event_name,n,nobody".to_owned()], table].concat());
    assert_eq!(of("csv").header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(ask(&server, &[], &json!({ "sql": "SELECT id FROM events WHERE false" })).body, "[]\n");
    let none = json!({ "sql": "SELECT id FROM events WHERE false", "format": "csv" });
    assert_eq!(ask(&server, &[], &none).body, "id\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn arrow_comes_as_a_stream_that_arrow_reads() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = filled(&dir).await;
    let question = json!({ "sql": "SELECT id, timestamp FROM events", "format": "arrow" });
    let bytes = curl::post_bytes(&format!("{}/v1/sql", server.http), &[JSON], &question.to_string());
    let reader = StreamReader::try_new(&*bytes, None).expect("a schema");
    assert_eq!(reader.map(|batch| batch.expect("a batch").num_rows()).sum::<usize>(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_stand_beside_the_statement_and_belong_to_one_tenant() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = filled(&dir).await;
    let count = |headers: &[&str], condition: &str, params: Value| {
        let question = json!({ "sql": format!("SELECT count(*) AS n FROM events WHERE {condition}"), "params": params });
        let answer = ask(&server, headers, &question);
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str::<Value>(&answer.body).expect("JSON")[0]["n"].as_i64().expect("a number")
    };
    assert_eq!(count(&[], "event_type = $1 AND timestamp > $2", json!(["trace", "2000-01-01T00:00:00Z"])), 50);
    assert_eq!(count(&[], "event_type = $1", json!(["trace' OR 'a' = 'a"])), 0, "a value is no SQL");
    assert_eq!(count(&[], "duration_ms >= $1 OR $2", json!([1e12, true])), 50);
    assert_eq!(count(&["x-scope-orgid: other"], "true", json!([])), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = filled(&dir).await;
    let cases = [
        (json!({ "sql": "DROP TABLE events" }), 400, "only one SELECT"),
        (json!({ "sql": "SELECT nothing FROM events" }), 400, "nothing"),
        (json!({ "sql": "SELECT id FROM events WHERE id = $2", "params": ["a"] }), 400, "params: $2 has no value; 1 were given"),
        (json!({ "sql": "SELECT id FROM events", "params": ["a"] }), 400, "params: 1 were given, but the SQL has no $1"),
        (json!({ "sql": "SELECT id FROM events WHERE id = $1", "params": [{}] }), 400, "params[0]: "),
        (json!({ "sql": "SELECT 1", "format": "xml" }), 400, "xml"),
        (json!({ "sql": "SELECT 1", "fromat": "csv" }), 400, "fromat"),
        (json!({}), 400, "sql"),
        (json!({ "sql": "SELECT a.id FROM events a, events b" }), 429, "more than 100 rows"),
    ];
    for (question, status, word) in cases {
        let answer = ask(&server, &[], &question);
        // Rows were told before the limit was reached: then the body breaks off.
        if status == 429 && answer.status == 200 {
            assert!(serde_json::from_str::<Value>(&answer.body).is_err(), "half an answer is no JSON");
            continue;
        }
        assert_eq!(answer.status, status, "{question}: {}", answer.body);
        assert!(answer.body.contains(word), "{question}: {}", answer.body);
    }
}
