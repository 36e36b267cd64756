//! SQLite's part of an append: one entry of 512 spans, durable.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::sync::mpsc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prost::Message;
use watershed_hot::{Options, Store};
use watershed_sample::Random;
use watershed_schema::{EntryKind, LogRecord, Lsn, TenantId, Term, proto};
use watershed_sources::Context;
use watershed_sources::otlp::{Signal, transform};

const BATCH: usize = 512;

fn entry() -> Bytes {
    let request = watershed_sample::traces(&mut Random::new(1), BATCH).encode_to_vec();
    let context = Context { tenant: TenantId::default(), received_at_us: 1_790_000_000_000_000, batch_id: "b".into() };
    let batch = transform(Signal::Traces, &request, &context).unwrap().batch.unwrap();
    Bytes::from(proto::LogAppend { batches: vec![batch.seal()] }.encode_to_vec())
}

fn append(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(".").unwrap();
    let store = Store::open(&folder.path().join("shard.db"), Options::default()).unwrap();
    let payload = entry();
    let mut lsn = 0;
    let mut group = criterion.benchmark_group("durable append");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function(format!("an entry of 512 spans, {} B each", payload.len() / BATCH), |bench| {
        bench.iter(|| {
            lsn += 1;
            let (tell, told) = mpsc::sync_channel(1);
            let record = LogRecord { lsn: Lsn(lsn), term: Term(1), kind: EntryKind::Append, payload: payload.clone() };
            store.append(vec![record], Box::new(move |result| drop(tell.send(result))));
            told.recv().unwrap().unwrap();
        });
    });
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
