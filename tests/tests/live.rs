//! Live queries against a real node, and the same SQL over the same events afterwards.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use futures::TryStreamExt as _;
use watershed_client::{Client, LiveQuery, LiveRows, LiveStream, Start};
use watershed_tests::otlp::{Exporter, spans};
use watershed_tests::server::Server;
use watershed_tests::{curl, target};

const COUNT_BY_NAME: &str = "SELECT event_name, count(*) FROM events WHERE event_name <> 'GET /item/3' GROUP BY event_name";
/// Spans `n` begin at this time and `n` milliseconds.
const BEGIN_US: i64 = 1_760_000_000_000_000;

/// Counts by begin of the window and name.
type Counts = BTreeMap<(i64, String), i64>;

fn add(counts: &mut Counts, rows: &RecordBatch) {
    // `date_bin` may have other units.
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    let starts = cast(rows.column_by_name("window_start").expect("a window"), &micros).expect("a time");
    let starts = starts.as_primitive::<TimestampMicrosecondType>();
    let (names, numbers) = (rows.column_by_name("event_name").expect("a name"), rows.columns().last().expect("a count"));
    let numbers = numbers.as_primitive::<Int64Type>().values();
    for ((start, name), number) in starts.values().iter().zip(names.as_string::<i32>()).zip(numbers) {
        let before = counts.insert((*start, name.expect("a name").to_owned()), *number);
        assert_eq!(before, None, "each window is told once");
    }
}

async fn next(live: &mut LiveStream) -> LiveRows {
    let next = tokio::time::timeout(Duration::from_secs(30), live.try_next()).await.expect("something comes");
    next.expect("goes on").expect("does not end")
}

async fn afterwards(client: &Client) -> Counts {
    let sql = COUNT_BY_NAME
        .replace("SELECT", "SELECT date_bin(INTERVAL '1 second', timestamp) AS window_start,")
        .replace("GROUP BY", "GROUP BY window_start,");
    let mut counts = Counts::new();
    client.query(&sql).await.expect("runs").iter().for_each(|rows| add(&mut counts, rows));
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_those_of_the_same_sql_afterwards() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let (client, exporter) = (server.client().await, Exporter::connect(&server.grpc).await);
    exporter.traces(spans(0, 2_000)).await.expect("acknowledged");
    let mut live = client.live(LiveQuery { start: Start::Earliest, ..LiveQuery::new(COUNT_BY_NAME) }).await.expect("runs");
    let begun = next(&mut live).await;
    assert_eq!((begun.windows.len(), begun.late, begun.lost, begun.resume_token.is_empty()), (0, 0, 0, false));
    for batch in 20..100 {
        exporter.traces(spans(batch * 100, 100)).await.expect("acknowledged");
    }
    let (expected, mut counts) = (afterwards(&client).await, Counts::new());
    assert_eq!(expected.len(), 10 * 9, "ten seconds, nine names");
    // The last ones close when nothing more comes.
    while counts.len() < expected.len() {
        let LiveRows { windows, late, lost, .. } = next(&mut live).await;
        windows.iter().for_each(|rows| add(&mut counts, rows));
        assert_eq!((late, lost), (0, 0));
    }
    assert_eq!(counts, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_after_the_window_is_counted_and_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &["--shards", "1"]);
    let (client, exporter) = (server.client().await, Exporter::connect(&server.grpc).await);
    let query =
        LiveQuery { lateness: Duration::from_millis(500), ..LiveQuery::new("SELECT count(*) AS event_count FROM events") };
    let mut live = client.live(query).await.expect("runs");
    next(&mut live).await;
    // Up to 2.2 s, so that the first window is closed and the second waits.
    exporter.traces(spans(0, 2_200)).await.expect("acknowledged");
    let first = next(&mut live).await;
    let of = |rows: &RecordBatch| {
        let starts = rows.column(0).as_primitive::<TimestampMicrosecondType>().value(0);
        ((starts - BEGIN_US) / 1_000_000, rows.column(2).as_primitive::<Int64Type>().value(0))
    };
    assert_eq!(first.windows.iter().map(of).collect::<Vec<_>>(), [(0, 1_000)]);
    // Other ids, the same times: 300 of the closed window, and of the open ones 700.
    let mut late = spans(10_700, 1_000);
    for span in &mut late.resource_spans[0].scope_spans[0].spans {
        span.start_time_unix_nano -= 10_000 * 1_000_000;
        span.end_time_unix_nano -= 10_000 * 1_000_000;
    }
    exporter.traces(late).await.expect("acknowledged");
    let mut seen = BTreeMap::new();
    while seen.len() < 2 {
        let LiveRows { windows, late, .. } = next(&mut live).await;
        seen.extend(windows.iter().map(of));
        assert_eq!(late, 300);
    }
    assert_eq!(seen, [(1, 1_700), (2, 200)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &["--shards", "1"]);
    let client = server.client().await;
    let fine = || LiveQuery::new("SELECT count(*) FROM events");
    let token = Start::Token(bytes::Bytes::from_static(b"x"));
    for (query, named) in [
        (LiveQuery::new("SELECT count(*) FROM events LIMIT 1"), "LIMIT is not allowed"),
        (LiveQuery::new("SELECT count(*) FROM events WHERE colour = 1"), "Line: 1, Column: 35"),
        (LiveQuery { every: Duration::from_millis(1), ..fine() }, "every is 1 ms, must be 100 to 86400000 ms"),
        (LiveQuery { lateness: Duration::from_hours(25), ..fine() }, "lateness is 90000000 ms"),
        (LiveQuery { start: token, ..fine() }, "resume_token: too short"),
    ] {
        let refused = client.live(query).await.expect_err(named).to_string();
        assert!(refused.contains("InvalidArgument") && refused.contains(named), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_rows() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    Exporter::connect(&server.grpc).await.traces(spans(0, 3_000)).await.expect("acknowledged");
    let mut tail = Command::new(target().join("debug/watershed"));
    tail.args(["tail", "--endpoint", &server.grpc, "--sql", "SELECT service_name, count(*) AS n FROM events GROUP BY 1"]);
    tail.args(["--every", "1s", "--lateness", "100ms", "--from", "earliest", "--format", "ndjson", "--count", "3"]);
    let output = tokio::task::spawn_blocking(move || tail.stdin(Stdio::null()).output()).await.expect("waits").expect("runs");
    let lines = String::from_utf8(output.stdout).expect("text");
    let rows: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows.len(), 3, "{lines} {}", String::from_utf8_lossy(&output.stderr));
    assert!(rows.iter().all(|row| row["service_name"] == "shop" && row["n"] == 1_000), "{lines}");
    assert_eq!(rows[0]["window_start"], "2025-10-09T08:53:20Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_reads_rows_as_server_sent_events() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    Exporter::connect(&server.grpc).await.traces(spans(0, 2_000)).await.expect("acknowledged");
    let query = "sql=SELECT%20count(*)%20AS%20n%20FROM%20events&every=1s&lateness=100ms&from=earliest";
    let mut lines = curl::Lines::open(&format!("{}/v1/stream?{query}", server.http));
    let mut counts = Vec::new();
    while counts.len() < 2 {
        let Some(data) = lines.next_line().strip_prefix("data: ").map(str::to_owned) else { continue };
        let told: serde_json::Value = serde_json::from_str(&data).expect("JSON");
        assert!(told["token"].as_str().is_some_and(|token| !token.is_empty()), "{told}");
        if told["type"] == "subscribed" {
            continue;
        }
        assert_eq!((&told["type"], &told["late"], &told["lost"]), (&"rows".into(), &0.into(), &0.into()));
        counts.extend(told["rows"].as_array().expect("rows").iter().map(|row| row["n"].as_i64().expect("a number")));
    }
    assert_eq!(counts, [1_000, 1_000]);
}
