//! Analytics of a real node: events come through Segment's door, and the same question has the same answer over HTTP, gRPC,
//! the client and the command line.

use std::process::{Command, Output};

use serde_json::{Value, json};
use watershed_client::Client;
use watershed_client::services::analytics_service_client::AnalyticsServiceClient;
use watershed_schema::proto;
use watershed_tests::curl;
use watershed_tests::server::Server;
use watershed_tests::target;

const JSON: &str = "Content-Type: application/json";

fn segment(server: &Server) {
    let call = |id: &str, user: &str, name: &str, at: &str, plan: &str| {
        json!({ "type": "track", "messageId": id, "userId": user, "event": name,
                "timestamp": format!("2026-03-04T{at}:00.000Z"), "properties": { "plan": plan, "price": 19.5 } })
    };
    let batch = json!({ "batch": [
        call("1", "A", "Signup", "00:00", "pro"),
        call("2", "A", "Activation", "00:10", "pro"),
        call("3", "A", "Purchase", "00:20", "pro"),
        call("4", "B", "Signup", "00:00", "free"),
        call("5", "B", "Purchase", "00:05", "free"),
        call("6", "B", "Activation", "00:30", "free"),
        call("7", "C", "Signup", "00:00", "free"),
        call("8", "C", "Signup", "02:00", "free"),
        call("9", "C", "Activation", "02:30", "free"),
        call("10", "C", "Purchase", "03:30", "free"),
    ]});
    let answer = curl::post(&format!("{}/v1/batch", server.http), &[JSON], batch.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn http(server: &Server, what: &str, question: &Value) -> Value {
    let url = format!("{}/v1/analytics/{what}", server.http);
    let answer = curl::post(&url, &[JSON], question.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.body);
    without_clock(serde_json::from_str(&answer.body).expect("JSON"))
}

fn command(server: &Server, words: &[&str]) -> Output {
    let binary = target().join("debug/watershed");
    Command::new(binary).args(words).env("WATERSHED_ENDPOINT", &server.grpc).output().expect("the binary runs")
}

fn cli(server: &Server, words: &[&str]) -> Value {
    let output = command(server, &[words, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    without_clock(serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn json_of(answer: &impl serde::Serialize) -> Value {
    without_clock(serde_json::to_value(answer).expect("JSON"))
}

/// When a question was asked differs.
fn without_clock(mut answer: Value) -> Value {
    let clock = answer["coverage"]["complete_to"].take();
    assert!(clock.as_str().is_some_and(|clock| clock.starts_with("20")), "{clock}");
    answer
}

async fn grpc(server: &Server) -> AnalyticsServiceClient<tonic::transport::Channel> {
    AnalyticsServiceClient::connect(server.grpc.clone()).await.expect("connects")
}

fn steps() -> Vec<proto::EventStep> {
    ["Signup", "Activation", "Purchase"].map(|event| proto::EventStep { event: event.to_owned(), filters: Vec::new() }).to_vec()
}

async fn funnels_are_equal(server: &Server, client: &Client) {
    let question =
        json!({ "steps": [{ "event": "Signup" }, { "event": "Activation" }, { "event": "Purchase" }], "within": "1h" });
    let answer = http(server, "funnel", &question);
    let actors: Vec<_> =
        answer["groups"][0]["steps"].as_array().expect("steps").iter().map(|step| step["actors"].clone()).collect();
    assert_eq!(actors, [3, 3, 1]);
    let request = proto::FunnelRequest { steps: steps(), within: "1h".to_owned(), ..Default::default() };
    assert_eq!(json_of(grpc(server).await.funnel(request).await.expect("an answer").get_ref()), answer);
    let built = client.funnel("1h").step("Signup").step("Activation").step("Purchase").await.expect("an answer");
    assert_eq!(json_of(&built), answer);
    assert_eq!(cli(server, &["funnel", "Signup", "Activation", "Purchase", "--within", "1h"]), answer);
}

async fn counts_are_equal(server: &Server, client: &Client) {
    let question = json!({ "event": "Signup", "by": "properties.plan", "every": "hour", "from": "2026-03-04T00:00:00Z", "to": "2026-03-04T02:59:59Z" });
    let answer = http(server, "track", &question);
    let values: Vec<_> = answer["points"].as_array().expect("points").iter().map(|point| point["value"].clone()).collect();
    assert_eq!(values, [2.0, 0.0, 1.0, 1.0, 0.0, 0.0], "free, then pro, an empty hour each");
    let request = proto::TrackRequest {
        event: "Signup".to_owned(),
        by: "properties.plan".to_owned(),
        every: "hour".to_owned(),
        from: "2026-03-04T00:00:00Z".to_owned(),
        to: "2026-03-04T02:59:59Z".to_owned(),
        ..Default::default()
    };
    assert_eq!(json_of(grpc(server).await.track(request).await.expect("an answer").get_ref()), answer);
    let between = ("2026-03-04T00:00:00Z", "2026-03-04T02:59:59Z");
    let built = client.track("Signup").by("properties.plan").every("hour").between(between.0, between.1);
    assert_eq!(json_of(&built.await.expect("an answer")), answer);
    let words = ["track", "Signup", "--by", "properties.plan", "--every", "hour", "--from", between.0, "--to", between.1];
    assert_eq!(cli(server, &words), answer);
    let sum = client.track("Purchase").sum("properties.price").await.expect("an answer");
    assert_eq!(sum.points[0].value, Some(58.5));
}

async fn cohorts_and_ratios_are_equal(server: &Server, client: &Client) {
    let question =
        json!({ "anchor": { "event": "Signup" }, "activity": { "event": "Purchase" }, "periods": 2, "granularity": "day" });
    let answer = http(server, "cohort", &question);
    assert_eq!((&answer["cohorts"][0]["actors"], &answer["cohorts"][0]["entries"][0]["share"]), (&json!(3), &json!(1.0)));
    let step = |event: &str| Some(proto::EventStep { event: event.to_owned(), filters: Vec::new() });
    let request = proto::CohortRequest {
        anchor: step("Signup"),
        activity: step("Purchase"),
        periods: 2,
        granularity: "day".to_owned(),
        ..Default::default()
    };
    assert_eq!(json_of(grpc(server).await.cohort(request).await.expect("an answer").get_ref()), answer);
    assert_eq!(json_of(&client.cohort("Signup", "Purchase").days(2).await.expect("an answer")), answer);
    assert_eq!(cli(server, &["cohort", "Signup", "Purchase", "--periods", "2", "--granularity", "day"]), answer);

    let answer = http(server, "ratio", &json!({ "a": { "event": "Purchase" }, "b": { "event": "Signup" } }));
    assert_eq!((&answer["a"], &answer["b"], &answer["value"]), (&json!(3), &json!(4), &json!(0.75)));
    let request = proto::RatioRequest { a: step("Purchase"), b: step("Signup"), ..Default::default() };
    assert_eq!(json_of(grpc(server).await.ratio(request).await.expect("an answer").get_ref()), answer);
    assert_eq!(json_of(&client.ratio("Purchase", "Signup").await.expect("an answer")), answer);
    assert_eq!(cli(server, &["ratio", "Purchase", "Signup"]), answer);
}

#[tokio::test]
async fn the_same_question_has_the_same_answer_at_every_face() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    segment(&server);
    let client = server.client().await;
    funnels_are_equal(&server, &client).await;
    counts_are_equal(&server, &client).await;
    cohorts_and_ratios_are_equal(&server, &client).await;
}

#[tokio::test]
async fn a_refusal_names_the_field_at_every_face() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let url = format!("{}/v1/analytics/track", server.http);
    for (body, word) in [(r#"{"every":"year"}"#, "every: "), (r#"{"evry":"day"}"#, "evry"), ("{", "body: ")] {
        let answer = curl::post(&url, &[JSON], body.as_bytes());
        let said: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!((answer.status, &said["code"]), (400, &json!(3)), "{body}: {said}");
        assert!(said["message"].as_str().is_some_and(|message| message.contains(word)), "{body}: {said}");
    }
    let refused = server.client().await.track("x").every("year").await.expect_err("refused").to_string();
    assert!(refused.contains("every: \"year\" is none of minute, hour, day, week, month"), "{refused}");
    let output = command(&server, &["track", "x", "--every", "year"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("every: "));
}

#[test]
fn charts_are_drawn() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    segment(&server);
    let drawn = |words: &[&str]| {
        let output = command(&server, words);
        assert!(String::from_utf8_lossy(&output.stderr).contains("events from hot, 0 from the lake"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let bars = drawn(&["track", "Signup", "--by", "properties.plan"]);
    assert_eq!(bars, format!("free {} 3\npro  {}▎ 1\n", "█".repeat(40), "█".repeat(13)), "{bars}");
    let spark = drawn(&["track", "Signup", "--every", "hour"]);
    assert!(spark.contains("█▁▃  0 to 3") && spark.contains("2026-03-04T00:00:00Z to 2026-03-04T02:00:00Z"), "{spark}");
    let funnel = drawn(&["funnel", "Signup", "Activation", "Purchase", "--within", "1h"]);
    assert!(funnel.lines().count() == 3 && funnel.contains("33.3 %") && funnel.contains("30.0 min"), "{funnel}");
    let cohort = drawn(&["cohort", "Signup", "Purchase", "--granularity", "day", "--periods", "2"]);
    assert!(cohort.contains("2026-03-04        3 ██100%"), "{cohort}");
    assert!(drawn(&["ratio", "Purchase", "Signup"]).contains("Purchase / Signup = 0.75"));
}
