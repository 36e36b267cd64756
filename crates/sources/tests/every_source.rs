//! What is promised of every JSON source in the registry.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use support::{Texts, context, rows, send, texts};
use watershed_schema::limits::{BATCH_ROWS_MAX, JSON_NESTING_MAX};
use watershed_sources::registry::{self, Face, Source};

fn json_sources() -> impl Iterator<Item = &'static Source> {
    registry::ALL.iter().filter(|source| source.face != Face::Otlp)
}

fn path(source: &Source) -> &'static str {
    source.endpoints[0].path
}

#[test]
fn names_and_paths_are_unique_and_examples_become_events_of_their_source() {
    let (mut names, mut paths) = (Vec::new(), Vec::new());
    for source in registry::ALL {
        names.push(source.name);
        paths.extend(source.endpoints.iter().map(|endpoint| endpoint.path));
    }
    for source in json_sources() {
        let rows = rows(path(source), source.example);
        assert!(!rows.is_empty(), "{}", source.name);
        for row in rows {
            assert_eq!(row["event_source"], source.name);
            assert_eq!(row["ns"], "acme");
            for column in ["id", "event_type", "event_name", "timestamp", "hour", "day", "ingested_at", "batch_id", "visibility"]
            {
                assert!(row.contains_key(column), "{}: {column}", source.name);
            }
        }
    }
    for mut list in [names, paths] {
        let before = list.len();
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), before);
    }
}

#[test]
fn the_same_request_gives_the_same_events() {
    for source in json_sources() {
        assert_eq!(rows(path(source), source.example), rows(path(source), source.example), "{}", source.name);
    }
}

#[test]
fn requests_that_are_no_json_are_refused_whole() {
    for source in json_sources() {
        let refused = |request: &[u8]| {
            let refusal = source.endpoints[0].transform(request, &context()).expect_err(source.name);
            assert!(refusal.to_string().contains("JSON"), "{}: {refusal}", source.name);
        };
        let example = source.example.trim_end();
        refused(&example.as_bytes()[..example.len() - 1]);
        refused(b"\xff\xfe");
        refused(&[&example.as_bytes()[..example.len() - 1], b"\xff}"].concat());
        refused(format!("{{\"x\":{}1", "[".repeat(5_000)).as_bytes());
        refused(b"<html>");
    }
}

/// The same when every bracket is closed: it is JSON, and yet too deep for those that read it later.
#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    for source in json_sources() {
        let refusal = send(path(source), &nested(JSON_NESTING_MAX + 1)).expect_err(source.name).to_string();
        let expected = format!("nested {} deep, limit {JSON_NESTING_MAX}", JSON_NESTING_MAX + 1);
        assert!(refusal.contains(&expected), "{}: {refusal}", source.name);
        assert!(send(path(source), &nested(JSON_NESTING_MAX)).is_ok(), "{}", source.name);
    }
}

#[test]
fn an_empty_request_is_no_event_and_no_error() {
    for source in json_sources() {
        assert!(rows(path(source), "").is_empty(), "{}", source.name);
    }
}

#[test]
fn records_that_are_no_objects_are_rejects() {
    for source in json_sources().filter(|source| source.face != Face::Segment) {
        let taken = send(path(source), r#"[1,null,"x",[],true]"#).unwrap();
        // To CDC, `null` is a tombstone.
        let rejects = if source.name == "cdc" { 4 } else { 5 };
        assert_eq!((taken.batch.is_none(), taken.rejects.count), (true, rejects), "{}", source.name);
    }
}

/// The example `times` times, as one line each.
fn repeated(source: &Source, times: usize) -> String {
    let line = source.example.replace('\n', " ");
    let objects: Vec<_> = std::iter::repeat_n(line.as_str(), times).collect();
    if line.trim_start().starts_with('[') {
        let inner = line.trim().trim_start_matches('[').trim_end_matches(']');
        return format!("[{}]", vec![inner; times].join(","));
    }
    objects.join("\n")
}

#[test]
fn ten_thousand_records_and_duplicates_among_them_are_taken() {
    for source in json_sources().filter(|source| source.endpoints[0].bytes_max > 4 << 20) {
        let one: Vec<Texts> = rows(path(source), source.example);
        let taken = send(path(source), &repeated(source, 10_000)).unwrap();
        let batch = taken.batch.unwrap();
        assert_eq!((batch.len(), taken.rejects.count), (10_000 * one.len(), 0), "{}", source.name);
        assert_eq!(texts(&batch.row(batch.len() - 1))["event_name"], one[one.len() - 1]["event_name"]);
    }
}

#[test]
fn more_records_than_a_batch_may_have_are_refused() {
    for source in json_sources().filter(|source| source.face != Face::Segment) {
        let refusal = send(path(source), &"{}\n".repeat(BATCH_ROWS_MAX + 1)).unwrap_err();
        assert!(refusal.to_string().contains(&BATCH_ROWS_MAX.to_string()), "{}: {refusal}", source.name);
    }
}

#[test]
fn a_request_above_the_endpoints_limit_is_refused() {
    for source in json_sources() {
        let refusal = send(path(source), &" ".repeat(source.endpoints[0].bytes_max + 1)).unwrap_err();
        assert!(refusal.to_string().contains(&format!("limit {}", source.endpoints[0].bytes_max)), "{}", source.name);
    }
}
