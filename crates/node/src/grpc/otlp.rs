//! OTLP/gRPC: three services, one method each.

use axum::Router;
use bytes::Bytes;
use prost::Message as _;
use tonic::{Request, Status};
use watershed_sources::otlp::Signal;

use super::Context;
use super::raw::unary;
use crate::ingest::{self, Encoding};
use crate::{admission, refusal::Refusal, tenant};

const METHODS: [(Signal, &str); 3] = [
    (Signal::Traces, "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
    (Signal::Metrics, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"),
    (Signal::Logs, "/opentelemetry.proto.collector.logs.v1.LogsService/Export"),
];

pub(super) fn routes(context: &Context) -> Router {
    let method = |(signal, path): (Signal, &str)| {
        let context = context.clone();
        unary(path, move |request| export(context.clone(), signal, request))
    };
    METHODS.into_iter().map(method).fold(Router::new(), Router::merge)
}

async fn export(context: Context, signal: Signal, request: Request<Bytes>) -> Result<Bytes, Status> {
    let refuse = |refusal: Refusal| {
        ingest::refused(ingest::word(signal), &refusal);
        Status::from(refusal)
    };
    let tenant = tenant::of(&request.metadata().clone().into_headers()).map_err(refuse)?;
    let body = request.into_inner();
    let permit = admission::admit(&context.intake, &context.drain, &tenant, body.len()).map_err(refuse)?;
    let accepted = context.intake.otlp((signal, Encoding::Protobuf), body, tenant, permit).await?;
    Ok(Bytes::from(ingest::response(&accepted).encode_to_vec()))
}
