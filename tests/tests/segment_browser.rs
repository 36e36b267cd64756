//! Segment's own library for browsers, in a real browser, on a page of another origin.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use watershed_client::Client;
use watershed_tests::server::Server;
use watershed_tests::{browser, number, texts};

fn word(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_has_a_path_of_its_own() {
    let called = Called::on_a_page(&[]).await;
    let paths = ["/v1/p", "/v1/t", "/v1/i", "/v1/g", "/v1/s", "/v1/a"].map(|path| json!([path, "text/plain", 200]));
    assert_eq!(called.said["paths"], json!(paths));
    called.rows_are_right().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_may_come_in_batches() {
    let called = Called::on_a_page(&["--batching"]).await;
    assert_eq!(called.said["paths"], json!([["/v1/b", "text/plain", 200]]));
    called.rows_are_right().await;
}

/// A node after a page called everything once.
struct Called {
    _server: Server,
    _dir: tempfile::TempDir,
    client: Client,
    said: Value,
}

impl Called {
    async fn on_a_page(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let server = Server::start(dir.path(), &[]);
        let said = browser::run("segment.mjs", &[&[server.http.as_str()], options].concat());
        Self { client: server.client().await, _server: server, _dir: dir, said }
    }

    async fn rows_are_right(&self) {
        let sent: BTreeSet<String> = self.said["sent"].as_array().expect("a list").iter().map(|pair| word(&pair[1])).collect();
        let stored = self.all("id").await;
        assert_eq!((stored.len(), stored.into_iter().collect()), (6, sent), "each once");
        self.what_is_in_every_row().await;
        self.what_each_call_says().await;
    }

    async fn what_is_in_every_row(&self) {
        let [anonymous, url, agent] = ["anonymousId", "url", "userAgent"].map(|name| word(&self.said[name]));
        let search = url.split_once('?').expect("a query").1;
        let every = format!(
            "SELECT count(*) FROM events WHERE event_source = 'segment' AND anonymous_id = '{anonymous}' \
             AND session_id = 'session-8' AND trace_id = '1af7651916cd43dd8448eb211c80319c' \
             AND client_name = 'analytics.js' AND client_version = 'next-1.84.3' AND http_user_agent = '{agent}' \
             AND http_url = '{url}' AND http_path = '/cart' AND page_search = '?{search}' AND http_referrer = '' \
             AND campaign_name = 'spring' AND campaign_source = 'news' AND campaign_medium = 'mail' \
             AND campaign_term = 'wool' AND campaign_content = 'top' AND geo_timezone <> '' AND timestamp <= ingested_at"
        );
        assert_eq!(number(&self.client, &every).await, 6, "{:?}", self.said);
    }

    async fn what_each_call_says(&self) {
        let said = "event_type || ' ' || event_name || ', ' || coalesce(actor_id, '-') || ', ' || page_title";
        let expected = [
            "page Shop.page_view, -, Cart",
            "track Order Completed, -, Cart of wool",
            "track identify, user-8, Cart of wool",
            "track group, user-8, Cart of wool",
            "page Home.screen_view, user-8, Start",
            "track alias, user-8, Cart of wool",
        ];
        assert_eq!(self.all(said).await, expected);
        assert_eq!(
            self.of("Order Completed", "properties").await,
            r#"{"total":0,"currency":"EUR","vip":false,"note":""}"#,
            "what is nothing is a value"
        );
        assert_eq!(self.of("identify", "actor_name || traits").await, r#"Ann{"name":"Ann","plan":"free"}"#);
        assert_eq!(self.of("group", "resource_id || traits").await, r#"group-1{"seats":5}"#);
        assert!(self.of("alias", "data").await.contains(r#""previousId":"visitor-8""#));
    }

    /// Of every row, as they were called.
    async fn all(&self, column: &str) -> Vec<String> {
        texts(&self.client, &format!("SELECT {column} FROM events ORDER BY timestamp, id")).await
    }

    async fn of(&self, name: &str, column: &str) -> String {
        let sql = format!("SELECT arrow_cast({column}, 'Utf8') FROM events WHERE event_name = '{name}'");
        texts(&self.client, &sql).await.pop().expect("a row")
    }
}
