//! Every source of the registry, and gRPC, under damaged requests: no panic, no reject without a reason, no batch beyond
//! its limits, nothing stored that a reader could not decode, and the same answer for the same bytes.
//!
//! A fixed number of rounds by default; `WATERSHED_FUZZ_SECONDS=300` runs each source for so long.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use prost::Message as _;
use support::context;
use watershed_sample::{Random, logs, metrics, traces};
use watershed_schema::limits::{BATCH_BYTES_MAX, BATCH_ROWS_MAX};
use watershed_schema::{EventBatch, proto};
use watershed_sources::redact::{Redaction, Rules};
use watershed_sources::registry::{self, Endpoint, Source};
use watershed_sources::{InvalidRequest, Transformed, native};

const ROUNDS: usize = 2_000;
/// Redaction reads whatever was taken.
static REDACTION: LazyLock<Redaction> = LazyLock::new(|| Redaction::new(&Rules { builtin: true, ..Rules::default() }).unwrap());

type Outcome = Result<Transformed, InvalidRequest>;

#[test]
fn damaged_requests_of_every_source() {
    for source in registry::ALL {
        let door = |endpoint: &'static Endpoint| (endpoint.path, move |request: &[u8]| endpoint.transform(request, &context()));
        println!("{}", fuzz(source.name, &seeds(source), &source.endpoints.iter().map(door).collect::<Vec<_>>()));
    }
}

/// What all sources' examples become, as a client would send it over gRPC.
#[test]
fn damaged_native_batches() {
    let batch = |source: &Source| source.endpoints[0].transform(source.example.as_bytes(), &context()).ok()?.batch;
    let seeds: Vec<Vec<u8>> = registry::ALL.iter().filter_map(batch).map(|batch| batch.body().to_vec()).collect();
    assert!(seeds.len() >= registry::ALL.len() - 1, "only OTLP's example is for a reader alone");
    println!("{}", fuzz("gRPC", &seeds, &[("Publish", |request: &[u8]| native::transform(request, &context()))]));
}

fn fuzz(name: &str, seeds: &[Vec<u8>], doors: &[(&str, impl Fn(&[u8]) -> Outcome)]) -> String {
    #[expect(clippy::disallowed_methods, reason = "how long a test runs is no setting of the product")]
    let seconds = std::env::var("WATERSHED_FUZZ_SECONDS").ok().map(|text| text.parse().unwrap());
    let mut random = Random::new(0x5eed);
    let (began, mut rounds, mut taken) = (Instant::now(), 0, 0);
    while seconds.map_or(rounds < ROUNDS, |seconds| began.elapsed() < Duration::from_secs(seconds)) {
        let (path, door) = &doors[pick(&mut random, doors.len())];
        taken += usize::from(check(&format!("{name} {path}"), door, &damaged(seeds, &mut random)));
        rounds += 1;
    }
    assert!(taken > 0, "{name}: all that is sent is refused");
    format!("{name}: {rounds} rounds from {} seeds, {taken} had events", seeds.len())
}

/// The example, what was recorded of real senders, and OTLP in protobuf.
fn seeds(source: &Source) -> Vec<Vec<u8>> {
    let mut seeds = vec![source.example.as_bytes().to_vec()];
    seeds.extend(recorded(source));
    if source.name == "otel" {
        let mut random = Random::new(1);
        seeds.push(traces(&mut random, 8).encode_to_vec());
        seeds.push(logs(&mut random, 8).encode_to_vec());
        seeds.push(metrics(&mut random, 8).encode_to_vec());
    }
    if source.name == "cdc" {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/debezium");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        seeds.extend(files.into_iter().map(|path| std::fs::read(path).unwrap()));
    }
    seeds
}

/// Requests of `tests/corpus`, in order: the same rounds on every machine. Page views are Segment's batches.
fn recorded(source: &Source) -> impl Iterator<Item = Vec<u8>> {
    let folder = if source.name == "segment" { "page_views" } else { source.name };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
    let files = std::fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| std::fs::read(path).unwrap())
}

/// A folder that no source takes its seeds from is work for nothing.
#[test]
fn every_recording_is_a_seed() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let folders = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let recordings: usize = folders.map(|folder| std::fs::read_dir(folder).unwrap().count()).sum();
    let seeds: usize = registry::ALL.iter().map(|source| recorded(source).count()).sum();
    assert_eq!(seeds, recordings);
}

fn pick(random: &mut Random, end: usize) -> usize {
    usize::try_from(random.draw() % end.max(1) as u64).unwrap()
}

/// What replaces a value of JSON, or stands anywhere.
const WORDS: [&str; 24] = [
    "null",
    "true",
    "0",
    "-1",
    "1e400",
    "18446744073709551616",
    "-9223372036854775809",
    "0.1",
    "\"\"",
    "[]",
    "{}",
    "[[[[[[]]]]]]",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "{\"a\":{\"b\":[1,{\"c\":null}]}}",
    "\"2026-13-45T99:99:99Z\"",
    "1790000000000",
    "-1790000000000.5",
    "\"null\"",
    "\n",
    ",",
    "\"",
    "\u{feff}",
    "\"\u{10ffff}\"",
];

fn damaged(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[pick(random, seeds.len())].clone();
    for _ in 0..=pick(random, 6) {
        let at = pick(random, bytes.len());
        match random.draw() % 8 {
            0 => bytes.truncate(at),
            1 if !bytes.is_empty() => bytes[at] ^= 1 << (random.draw() % 8),
            2 => drop(bytes.splice(at..at, WORDS[pick(random, WORDS.len())].bytes())),
            3 => splice_other(&mut bytes, &seeds[pick(random, seeds.len())], random),
            4 => drop(bytes.splice(at..(at + pick(random, 40)).min(bytes.len()), [])),
            _ => replace_value(&mut bytes, random),
        }
    }
    bytes
}

/// A piece of another seed.
fn splice_other(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let (at, from) = (pick(random, bytes.len()), pick(random, other.len()));
    let piece = other[from..(from + pick(random, 60)).min(other.len())].to_vec();
    bytes.splice(at..at, piece);
}

/// The scalar behind some colon becomes another value: most of what results is still JSON.
fn replace_value(bytes: &mut Vec<u8>, random: &mut Random) {
    let from = pick(random, bytes.len());
    let Some(colon) = bytes[from..].iter().position(|byte| *byte == b':').map(|at| from + at + 1) else { return };
    let end = bytes[colon..].iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b'{' | b'['));
    let end = end.map_or(bytes.len(), |end| colon + end);
    bytes.splice(colon..end, WORDS[pick(random, WORDS.len())].bytes());
}

/// Whether it had events.
fn check(name: &str, door: impl Fn(&[u8]) -> Outcome, request: &[u8]) -> bool {
    let told = || format!("{name}: {}", String::from_utf8_lossy(request));
    let Ok(Transformed { batch, rejects, .. }) = door(request) else { return false };
    for reject in &rejects.first {
        assert!(!reject.field.is_empty() && !reject.reason.is_empty(), "{}", told());
    }
    let again = door(request).unwrap();
    let Some(batch) = batch else { return false };
    assert_eq!(again.batch.unwrap().body(), batch.body(), "{}", told());
    for batch in [&batch, &REDACTION.apply_to(&batch).unwrap()] {
        assert!(batch.len() <= BATCH_ROWS_MAX && batch.body().len() <= BATCH_BYTES_MAX, "{}", told());
        let decoded = EventBatch::decode(batch.tenant().clone(), batch.body().clone());
        assert_eq!(decoded.unwrap_or_else(|error| panic!("{error}: {}", told())).len(), batch.len());
        assert!(proto::EventBatch::decode(batch.body().clone()).is_ok(), "{}", told());
    }
    true
}
