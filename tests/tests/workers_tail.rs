//! Cloudflare's own runtime calls a worker in every way it can, and its tail worker sends what it is told to the node.

use watershed_client::Client;
use watershed_tests::server::Server;
use watershed_tests::workerd::Workerd;
use watershed_tests::{curl, number, texts, until};

const TRACEPARENT: &str = "traceparent: 00-2af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// As `request.cf` is at the edge.
const EDGE: &str = r#"CF-Blob: {"country":"NL","city":"Amsterdam","colo":"AMS","asn":13335,"latitude":"52.37","httpProtocol":"HTTP/2","botManagement":{"score":99,"verifiedBot":false}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn invocations_of_every_kind_arrive_from_a_real_tail_worker() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let workerd = Workerd::start(&format!("{}/v1/tail", server.http));
    let call = |path: &str, headers: &[&str]| curl::get_with(&format!("{}{path}", workerd.url), headers).status;
    let from_the_edge = [TRACEPARENT, EDGE, "CF-Ray: 8f00000000000001-AMS", "Authorization: Bearer hunter2"];
    assert_eq!(call("/cart?wool=1", &from_the_edge), 201);
    assert_eq!(call("/fail", &[]), 500);
    assert_eq!(call("/everything", &[]), 201);
    let client = server.client().await;
    let count = "SELECT count(*) FROM events WHERE event_type = 'tail' AND event_source = 'workers_tail'";
    until("all invocations", async || number(&client, count).await >= 9).await;
    kinds_and_outcomes_are_right(&client).await;
    the_request_is_right(&client, &workerd.url).await;
    what_failed_says_why(&client).await;
    details_are_kept_and_secrets_are_not(&client).await;
}

/// `scriptName` is Cloudflare's and null here, `wallTime` and `cpuTime` are zeros.
async fn kinds_and_outcomes_are_right(client: &Client) {
    let of = "event_name || ' ' || outcome || coalesce(' ' || http_path || ' ' || cast(http_status AS varchar), '') \
              || coalesce(' ' || rpc_method, '') || coalesce(' ' || msg_destination || ' ' || cast(msg_batch_size AS varchar), '')";
    let invocations = texts(client, &format!("SELECT arrow_cast({of}, 'Utf8') AS said FROM events ORDER BY said")).await;
    let expected = [
        "workers.alarm success",
        "workers.fetch error",
        "workers.fetch success /cart 201",
        "workers.fetch success /cart 201",
        "workers.fetch success /everything 201",
        "workers.queue success orders 2",
        "workers.rpc success of",
        "workers.rpc success reserve",
        "workers.scheduled success",
    ];
    assert_eq!(invocations, expected);
    let everywhere = "SELECT count(DISTINCT id) FROM events WHERE cloud_provider = 'cloudflare' AND duration_ms = 0 \
                      AND cpu_time_ms = 0 AND service_name IS NULL AND timestamp <= ingested_at";
    assert_eq!(number(client, everywhere).await, 9);
}

async fn the_request_is_right(client: &Client, url: &str) {
    let sql = format!(
        "SELECT count(*) FROM events WHERE http_url = '{url}/cart?wool=1' AND http_method = 'GET' AND http_query = '?wool=1' \
         AND http_host = '127.0.0.1' AND http_user_agent LIKE 'curl/%' AND http_protocol = 'HTTP/2' \
         AND trace_id = '2af7651916cd43dd8448eb211c80319c' AND parent_id = 'b7ad6b7169203331' \
         AND geo_country = 'NL' AND geo_city = 'Amsterdam' AND geo_colo = 'AMS' AND geo_asn = 13335 AND geo_latitude = 52.37 \
         AND bot_score = 99 AND NOT bot_verified"
    );
    assert_eq!(number(client, &sql).await, 1);
}

async fn what_failed_says_why(client: &Client) {
    let why = "SELECT error_type || ': ' || error_message || ' ' || http_path FROM events WHERE outcome = 'error' AND error_stack LIKE '%shop.js%'";
    assert_eq!(texts(client, why).await, ["TypeError: no wool /fail"]);
}

async fn details_are_kept_and_secrets_are_not(client: &Client) {
    for (name, detail) in [
        ("workers.fetch", r#""message":["asked for","/fail"]"#),
        ("workers.scheduled", r#""cron":"*/5 * * * *","scheduledTime":1790000000000"#),
        ("workers.rpc", r#""message":["price of",{"thing":"wool"},0]"#),
        ("workers.rpc", r#""executionModel":"durableObject""#),
        ("workers.alarm", r#""message":["restocked"]"#),
        ("workers.alarm", r#""scheduledTime":"20"#),
        ("workers.queue", r#""message":["messages",2]"#),
    ] {
        let sql = format!("SELECT count(*) FROM events WHERE event_name = '{name}' AND strpos(data, '{detail}') > 0");
        assert_eq!(number(client, &sql).await, 1, "{name}: {detail}");
    }
    assert_eq!(number(client, "SELECT count(*) FROM events WHERE data LIKE '%hunter2%'").await, 0);
}
