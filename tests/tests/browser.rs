//! A real browser on a page with `/snippet.js`, web-vitals and rrweb: everything arrives, and the replay plays back.

use std::io::Write as _;

use serde_json::Value;
use watershed_client::Client;
use watershed_tests::server::Server;
use watershed_tests::{browser, number, texts, until};

struct Visit {
    client: Client,
    session: String,
    trace: String,
    /// How many records the page sent to each path.
    sent: Value,
}

impl Visit {
    async fn of(server: &Server, options: &[&str]) -> Self {
        let said = browser::run("browse.mjs", &[&[server.http.as_str()], options].concat());
        let word = |name: &str| said[name].as_str().expect("a text").to_owned();
        Self { client: server.client().await, session: word("sessionId"), trace: word("traceId"), sent: said["sent"].clone() }
    }

    fn sql(&self, what: &str, of: &str) -> String {
        let Self { session, trace, .. } = self;
        format!("SELECT {what} FROM events WHERE session_id = '{session}' AND trace_id = '{trace}' AND {of}")
    }

    async fn count(&self, of: &str) -> i64 {
        number(&self.client, &self.sql("count(*)", of)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_is_stored_under_its_session_and_trace_and_plays_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let visit = Visit::of(&server, &[]).await;
    // A beacon of a page that went away is answered to nobody: wait for what it carries.
    until("both visits are recorded", async || visit.count("replay_type = 'FullSnapshot'").await >= 2).await;
    for (what, of, least) in [
        ("page views", "event_type = 'page' AND event_name = 'page_view'", 4),
        ("vitals", "event_type = 'vital'", 4),
        ("a vital of the first paint", "vital_name = 'FCP' AND vital_rating = 'good'", 1),
        ("resources", "event_type = 'snippet'", 5),
        ("a resource of another origin, whose phases are hidden", "http_path = '/hidden.svg' AND snippet_ttfb IS NULL", 1),
        ("a request of the page", "http_path = '/stock.json' AND snippet_initiator = 'fetch' AND snippet_ttfb >= 0", 1),
        ("clicks", "event_name = 'IncrementalSnapshot.MouseInteraction'", 2),
    ] {
        until(what, async || visit.count(of).await >= least).await;
    }
    assert_eq!(number(&visit.client, "SELECT count(*) - count(DISTINCT id) FROM events").await, 0);
    play(&visit).await;
}

/// rrweb's own player shows what was on the page when the recording ended.
async fn play(visit: &Visit) {
    let sql = visit.sql("arrow_cast(replay_data, 'Utf8')", "event_type = 'replay' ORDER BY timestamp, replay_sequence");
    let events = texts(&visit.client, &sql).await;
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    write!(file, "[{}]", events.join(",")).expect("writes");
    let played = browser::run("play.mjs", &[&file.path().display().to_string()]);
    assert_eq!(played["errors"], serde_json::json!([]), "{played}");
    assert_eq!(played["typed"], "***", "what is typed is masked: {played}");
    assert!(played["text"].as_str().is_some_and(|text| text.contains("Bought 0 by Ann")), "{played}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_snippet_needs_no_library() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let visit = Visit::of(&server, &["--alone"]).await;
    until("vitals", async || visit.count("vital_name IN ('FCP', 'TTFB', 'LCP')").await >= 3).await;
    until("page views", async || visit.count("event_type = 'page'").await >= 4).await;
    assert_eq!(visit.count("event_type = 'replay'").await, 0, "rrweb records, and it is not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_could_not_take_is_sent_again_and_stored_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let visit = Visit::of(&server, &["--trouble"]).await;
    for (path, kind) in [("batch", "page"), ("snippet", "snippet"), ("vitals", "vital"), ("replay", "replay")] {
        let sent = visit.sent[format!("/v1/{path}")].as_i64().expect("a count");
        assert!(sent > 1, "{}", visit.sent);
        until(path, async || visit.count(&format!("event_type = '{kind}'")).await >= sent).await;
        assert_eq!(visit.count(&format!("event_type = '{kind}'")).await, sent, "{path}");
    }
}
