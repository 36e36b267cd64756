//! The CPU parts of an append: decode, rows, LZ4. prost alone stands beside them for comparison.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use watershed_sample::Random;
use watershed_schema::TenantId;
use watershed_sources::Context;
use watershed_sources::otlp::{Signal, transform};

const BATCH: usize = 512;

fn parts(criterion: &mut Criterion) {
    let mut random = Random::new(1);
    let traces = watershed_sample::traces(&mut random, BATCH).encode_to_vec();
    let logs = watershed_sample::logs(&mut random, BATCH).encode_to_vec();
    let metrics = watershed_sample::metrics(&mut random, BATCH).encode_to_vec();
    let context = Context { tenant: TenantId::default(), received_at_us: 1_790_000_000_000_000, batch_id: "b".into() };
    let mut group = criterion.benchmark_group("512 records");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("spans: prost decode alone", |bench| {
        bench.iter(|| ExportTraceServiceRequest::decode(black_box(traces.as_slice())).unwrap());
    });
    for (name, signal, request) in
        [("spans", Signal::Traces, &traces), ("logs", Signal::Logs, &logs), ("points", Signal::Metrics, &metrics)]
    {
        group.bench_function(format!("{name} of {} B: decode to rows", request.len() / BATCH), |bench| {
            bench.iter(|| transform(signal, black_box(request), &context).unwrap());
        });
        let batch = transform(signal, request, &context).unwrap().batch.unwrap();
        let stored = batch.seal().encoded_len() / BATCH;
        group.bench_function(format!("{name}: LZ4, {} B to {stored} B", batch.body().len() / BATCH), |bench| {
            bench.iter(|| black_box(&batch).seal());
        });
        group.bench_function(format!("{name}: ids for dedupe"), |bench| bench.iter(|| black_box(&batch).id_hashes().unwrap()));
    }
    group.finish();
}

criterion_group!(benches, parts);
criterion_main!(benches);
