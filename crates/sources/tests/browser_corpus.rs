//! What a real browser sent (`corpus/README.md`): all of it is taken, none of it is lost.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use support::{Texts, context, endpoint, texts};
use watershed_sources::Transformed;

/// Requests of a kind, in order.
fn corpus(kind: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(kind);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{kind}");
    files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

/// Rows of all requests of a kind. The browser's clock was not that of the tests: what is received arrives in 2027.
fn taken(kind: &str, path: &str) -> Vec<Texts> {
    let mut arrived = context();
    arrived.received_at_us = 1_800_000_000_000_000;
    let transform = |request: &String| {
        let Transformed { batch, rejects, .. } = endpoint(path).transform(request.as_bytes(), &arrived).unwrap();
        assert_eq!(rejects.count, 0, "{kind}: {}", rejects.summary());
        batch.unwrap().rows().map(|row| texts(&row)).collect::<Vec<_>>()
    };
    let rows: Vec<_> = corpus(kind).iter().flat_map(transform).collect();
    let ids: BTreeSet<_> = rows.iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids.len(), rows.len(), "{kind}: each its own id");
    rows
}

fn distinct(rows: &[Texts], column: &str) -> Vec<String> {
    rows.iter().filter_map(|row| row.get(column).cloned()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Sent in one visit, so that all that is known of a page meets in its session and trace.
#[test]
fn all_four_kinds_are_of_one_session_in_two_page_loads() {
    let mut sessions = BTreeSet::new();
    for (kind, path) in [("replay", "/v1/replay"), ("snippet", "/v1/snippet"), ("page_views", "/v1/batch")] {
        let rows = taken(kind, path);
        sessions.extend(distinct(&rows, "session_id"));
        assert!(rows.iter().all(|row| row["trace_id"].len() == 32 && row["parent_id"].len() == 16), "{kind}");
        assert!(rows.iter().all(|row| row["timestamp"].starts_with("1795637")), "{kind}: times of the browser");
    }
    assert_eq!(sessions.len(), 1);
    let vitals = taken("web_vitals", "/v1/vitals");
    assert!(distinct(&vitals, "session_id").iter().any(|session| sessions.contains(session)));
}

#[test]
fn vitals_by_the_library_and_by_the_script_alone() {
    let rows = taken("web_vitals", "/v1/vitals");
    assert_eq!(distinct(&rows, "event_name"), ["CLS", "FCP", "INP", "LCP", "TTFB"]);
    assert_eq!(rows.len(), 15, "two visits with the library and one without");
    assert!(rows.iter().all(|row| row["vital_rating"] == "good" && row["nav_type"] == "navigate"));
    let elements = distinct(&rows, "vital_element");
    for element in ["#buy", "#hero", "button#buy", "h1#hero", "html>body"] {
        assert!(elements.iter().any(|found| found == element), "{element}: {elements:?}");
    }
    let of_library = rows.iter().filter(|row| row["span_id"].starts_with("v6-"));
    assert!(of_library.clone().count() == 10 && of_library.into_iter().all(|row| row["http_url"].contains("/cart?wool=")));
}

#[test]
fn a_recording_has_all_its_events_in_order_and_as_they_were() {
    let rows = taken("replay", "/v1/replay");
    let sequences: Vec<_> = rows.iter().map(|row| row["replay_sequence"].clone()).collect();
    assert_eq!(sequences, (0..rows.len()).map(|number| number.to_string()).collect::<Vec<_>>());
    let requests = corpus("replay").concat();
    assert!(rows.iter().all(|row| requests.contains(&row["replay_data"])), "byte for byte");
    assert_eq!((rows[0]["replay_type"].as_str(), rows[0]["replay_timestamp_offset"].as_str()), ("Meta", "0"));
    let sources = distinct(&rows, "replay_source");
    assert_eq!(sources, ["Input", "MouseInteraction", "MouseMove", "Mutation"]);
    let typed: Vec<_> = rows.iter().filter(|row| row.get("replay_source").is_some_and(|source| source == "Input")).collect();
    assert!(typed.iter().all(|row| row["replay_data"].contains(r#""text":"*"#)), "what is typed is masked");
}

#[test]
fn requests_of_a_page_from_the_net_from_the_cache_and_from_elsewhere() {
    let rows = taken("snippet", "/v1/snippet");
    let of = |path: &str| rows.iter().filter(|row| row["http_path"] == path).collect::<Vec<_>>();
    let states: Vec<_> = of("/rrweb.js").iter().map(|row| row["snippet_cache_state"].clone()).collect();
    assert_eq!(states, ["network", "local"], "the second page load finds it in the cache");
    let fetched = of("/stock.json")[0];
    assert_eq!((fetched["event_name"].as_str(), fetched["http_query"].as_str()), ("fetch.request", "?wool=1"));
    for hidden in of("/hidden.svg") {
        let times = ["snippet_dns_time", "snippet_connect_time", "snippet_ttfb", "snippet_download_time", "snippet_blocked_time"];
        assert!(times.iter().all(|time| !hidden.contains_key(time)), "of another origin: {hidden:?}");
        assert!(!hidden.contains_key("http_status") && hidden["duration_ms"].parse::<f64>().unwrap() > 0.0);
    }
    assert!(rows.iter().all(|row| !row["http_path"].starts_with("/v1/")), "the script does not report itself");
}

#[test]
fn views_are_of_pages_and_of_those_that_the_application_draws() {
    let rows = taken("page_views", "/v1/batch");
    let paths: Vec<_> = rows.iter().map(|row| row["http_path"].clone()).collect();
    assert_eq!(paths, ["/cart", "/thanks", "/cart"]);
    assert_eq!(rows[1]["page_title"], "Thanks");
    assert!(rows[1]["http_referrer"].ends_with("/cart?wool=1"));
    assert!(rows.iter().all(|row| row["client_name"] == "watershed.js" && row["event_name"] == "page_view"));
}
