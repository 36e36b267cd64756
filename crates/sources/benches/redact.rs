//! What redaction costs a batch: when nothing matches, when escapes ask for a second look, when a row has a secret.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prost::Message;
use watershed_sample::Random;
use watershed_schema::{EventBatch, TenantId};
use watershed_sources::otlp::{Signal, transform};
use watershed_sources::redact::{Pattern, Redaction, Rules};
use watershed_sources::{Context, registry};

const BATCH: usize = 512;

fn batches() -> Vec<(&'static str, EventBatch)> {
    let context = Context { tenant: TenantId::default(), received_at_us: 1_790_000_000_000_000, batch_id: "b".into() };
    let mut random = Random::new(1);
    let spans = watershed_sample::traces(&mut random, BATCH).encode_to_vec();
    let logs = watershed_sample::logs(&mut random, BATCH).encode_to_vec();
    let tail = registry::by_name("workers_tail").unwrap();
    let item = tail.example.replace(['[', ']', '\n'], "").replace("\"message\": ", "\"message\": 1, \"text\": ");
    let with_cookies = format!("[{}]", vec![item.as_str(); BATCH].join(","));
    let lines = with_cookies.replace("cookie", "accept").replace("cart opened", r"cart\nopened");
    let otlp = |signal, request: &[u8]| transform(signal, request, &context).unwrap().batch.unwrap();
    let json = |request: &str| tail.endpoints[0].transform(request.as_bytes(), &context).unwrap().batch.unwrap();
    vec![
        ("spans", otlp(Signal::Traces, &spans)),
        ("logs", otlp(Signal::Logs, &logs)),
        ("tail, JSON with escapes", json(&lines)),
        ("tail, a cookie in every row", json(&with_cookies)),
    ]
}

fn parts(criterion: &mut Criterion) {
    let mail = Pattern { pattern: r"[\w.+-]+@[\w-]+\.[\w.]+".into(), replacement: "[mail]".into() };
    let builtin = Rules { builtin: true, ..Rules::default() };
    let with_pattern = Rules { patterns: vec![mail], ..builtin.clone() };
    let mut group = criterion.benchmark_group("redact 512 rows");
    for (name, batch) in batches() {
        group.throughput(Throughput::Bytes(batch.body().len() as u64));
        for (rules, redaction) in [("builtin", &builtin), ("builtin and a pattern", &with_pattern)] {
            let redaction = Redaction::new(redaction).unwrap();
            let changed = redaction.apply_to(&batch).unwrap().body() != batch.body();
            group.bench_function(format!("{name}: {rules}, {}", if changed { "changed" } else { "same" }), |bench| {
                bench.iter(|| redaction.apply_to(black_box(&batch)).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, parts);
criterion_main!(benches);
