//! The gRPC part of an append: 512 spans over loopback to a raw method that only looks at their length.
//!
//! Messages are framed and compressed beforehand, so that the sender costs next to nothing; what is left is HTTP/2 on both
//! sides, and the server's decompression.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::io::Write;

use bytes::{BufMut, Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tower::ServiceExt;
use watershed_node::bench::unary;
use watershed_sample::Random;

const BATCH: usize = 512;
const PATH: &str = "/bench.Service/Length";

/// Serves until the runtime goes.
async fn connected() -> Channel {
    let method = unary(PATH, |request| async move {
        black_box(request.into_inner().len());
        Ok(Bytes::new())
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(Server::builder().add_routes(Routes::from(method)).serve_with_incoming(incoming));
    Endpoint::from_shared(format!("http://{address}")).unwrap().tcp_nodelay(true).connect().await.unwrap()
}

/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>: whether it is compressed, its length, itself.
fn framed(message: &[u8], compressed: bool) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(u8::from(compressed));
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

fn gzip(message: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(message).unwrap();
    encoder.finish().unwrap()
}

async fn call(channel: Channel, encoding: &str, frame: Bytes) {
    let request = http::Request::post(PATH)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", encoding)
        .body(Body::new(Full::new(frame)))
        .unwrap();
    let answer = channel.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(answer.trailers().unwrap()["grpc-status"], "0");
}

fn requests(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let channel = runtime.block_on(connected());
    let plain = watershed_sample::traces(&mut Random::new(1), BATCH).encode_to_vec();
    let packed = gzip(&plain);
    let mut group = criterion.benchmark_group("request of 512 spans");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (encoding, message) in [("identity", &plain), ("gzip", &packed)] {
        let frame = framed(message, encoding != "identity");
        group.bench_function(format!("{encoding}, {} KiB on the wire", message.len() / 1024), |bench| {
            bench.iter(|| runtime.block_on(call(channel.clone(), encoding, frame.clone())));
        });
    }
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
