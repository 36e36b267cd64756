//! gRPC methods over raw message bytes: rows are copied through, never decoded and encoded again.

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;

use axum::Router;
use axum::body::Body;
use bytes::{Buf as _, BufMut as _, Bytes};
use futures::Stream;
use futures::future::BoxFuture;
use http::HeaderValue;
use tonic::codec::{BufferSettings, Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, ServerStreamingService, StreamingService, UnaryService};
use tonic::{Code, Request, Response, Status, Streaming as Incoming};
use tower::service_fn;
use watershed_schema::limits::{BATCH_BYTES_MAX, MESSAGE_BYTES_MAX};

/// A stream keeps its buffers for as long as it is open, also one that sleeps: tonic's default of 8 KiB each is most of what
/// it weighs. They grow with what comes through.
fn buffers() -> BufferSettings {
    BufferSettings::new(128, 32 * 1024)
}

/// Messages as they stand on the wire.
#[derive(Clone, Copy, Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

fn grpc() -> Grpc<Raw> {
    Grpc::new(Raw)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(BATCH_BYTES_MAX * 2)
}

/// tonic calls a message beyond its limit, also one that only grows so big when it is decompressed, a lack of
/// resources, which exporters answer with a retry. It is bad input: our own overload carries details, tonic's does not.
fn blame<B>(mut response: http::Response<B>) -> http::Response<B> {
    const TOO_BIG: [Code; 2] = [Code::ResourceExhausted, Code::OutOfRange];
    let headers = response.headers_mut();
    let code = headers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()));
    let is_ours = headers.contains_key("grpc-status-details-bin");
    if code.is_some_and(|code| TOO_BIG.contains(&code)) && !is_ours {
        headers.insert(Status::GRPC_STATUS, HeaderValue::from(Code::InvalidArgument as i32));
    }
    response
}

struct Unary<F>(F);

impl<F, R> UnaryService<Bytes> for Unary<F>
where
    F: FnMut(Request<Bytes>) -> R,
    R: Future<Output = Result<Bytes, Status>> + Send + 'static,
{
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let answer = self.0(request);
        Box::pin(async move { answer.await.map(Response::new) })
    }
}

/// A method that answers once.
pub fn unary<F, R>(path: &str, handler: F) -> Router
where
    F: Fn(Request<Bytes>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Bytes, Status>> + Send + 'static,
{
    let service = service_fn(move |request: http::Request<Body>| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(blame(grpc().unary(Unary(handler), request).await)) }
    });
    Router::new().route_service(path, service)
}

struct Streaming<F, S>(F, PhantomData<fn() -> S>);

impl<F, R, S> ServerStreamingService<Bytes> for Streaming<F, S>
where
    F: FnMut(Request<Bytes>) -> R,
    R: Future<Output = Result<S, Status>> + Send + 'static,
    S: Stream<Item = Result<Bytes, Status>> + Send + 'static,
{
    type Response = Bytes;
    type ResponseStream = S;
    type Future = BoxFuture<'static, Result<Response<S>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let answer = self.0(request);
        Box::pin(async move { answer.await.map(Response::new) })
    }
}

/// A method that answers with a stream.
pub(super) fn server_streaming<F, R, S>(path: &str, handler: F) -> Router
where
    F: Fn(Request<Bytes>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<S, Status>> + Send + 'static,
    S: Stream<Item = Result<Bytes, Status>> + Send + 'static,
{
    let service = service_fn(move |request: http::Request<Body>| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(grpc().server_streaming(Streaming(handler, PhantomData), request).await) }
    });
    Router::new().route_service(path, service)
}

struct Duplex<F, S>(F, PhantomData<fn() -> S>);

impl<F, R, S> StreamingService<Bytes> for Duplex<F, S>
where
    F: FnMut(Request<Incoming<Bytes>>) -> R,
    R: Future<Output = Result<S, Status>> + Send + 'static,
    S: Stream<Item = Result<Bytes, Status>> + Send + 'static,
{
    type Response = Bytes;
    type ResponseStream = S;
    type Future = BoxFuture<'static, Result<Response<S>, Status>>;

    fn call(&mut self, requests: Request<Incoming<Bytes>>) -> Self::Future {
        let answers = self.0(requests);
        Box::pin(async move { answers.await.map(Response::new) })
    }
}

/// A method that takes a stream and answers with one.
pub(super) fn streaming<F, R, S>(path: &str, handler: F) -> Router
where
    F: Fn(Request<Incoming<Bytes>>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<S, Status>> + Send + 'static,
    S: Stream<Item = Result<Bytes, Status>> + Send + 'static,
{
    let service = service_fn(move |request: http::Request<Body>| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(grpc().streaming(Duplex(handler, PhantomData), request).await) }
    });
    Router::new().route_service(path, service)
}
