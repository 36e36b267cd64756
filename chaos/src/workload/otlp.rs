//! OTLP over gRPC, as any exporter sends it; an event's id stands in its span's id.

use std::ops::Range;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Some of a trace, so that a high-volume tenant's batches go to several shards.
const SPANS_OF_A_TRACE: u64 = 4;
const START_NS: u64 = 1_760_000_000_000_000_000;

/// A way to one node, which connects when it is used.
#[derive(Clone, Debug)]
pub(super) struct Exporter {
    channel: Channel,
    tenant: MetadataValue<Ascii>,
}

impl Exporter {
    pub(super) fn new(endpoint: &str, tenant: &str) -> Self {
        let endpoint = Endpoint::from_shared(endpoint.to_owned()).expect("invariant: an address of ours");
        let channel = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).connect_lazy();
        Self { channel, tenant: tenant.parse().expect("invariant: a tenant's name is ASCII") }
    }

    /// Whether all of it was taken; an error says nothing about what was stored.
    pub(super) async fn send(&self, spans: ExportTraceServiceRequest, deadline: Duration) -> Result<(), Status> {
        let mut request = Request::new(spans);
        request.metadata_mut().insert("x-scope-orgid", self.tenant.clone());
        let answer = tokio::time::timeout(deadline, self.export(request)).await;
        let answer = answer.map_err(|_late| Status::deadline_exceeded("no answer"))??;
        match answer.partial_success {
            Some(partial) if partial.rejected_spans > 0 => Err(Status::invalid_argument(partial.error_message)),
            _ => Ok(()),
        }
    }

    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<ExportTraceServiceResponse, Status> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = http::uri::PathAndQuery::from_static(TRACES);
        Ok(grpc.unary(request, path, tonic_prost::ProstCodec::default()).await?.into_inner())
    }
}

/// Spans with these ids; the same bytes each time.
pub(super) fn spans(ids: Range<u64>) -> ExportTraceServiceRequest {
    let span = |id: u64| Span {
        trace_id: (u128::from(id / SPANS_OF_A_TRACE) << 64 | 1).to_be_bytes().to_vec(),
        // No id is zero: that would be no id.
        span_id: (id + 1).to_be_bytes().to_vec(),
        name: "chaos".to_owned(),
        start_time_unix_nano: START_NS + id % 1_000_000 * 1_000_000,
        end_time_unix_nano: START_NS + id % 1_000_000 * 1_000_000 + 500_000,
        ..Span::default()
    };
    let scope_spans = ScopeSpans { spans: ids.map(span).collect(), ..ScopeSpans::default() };
    let of_resource = ResourceSpans { scope_spans: vec![scope_spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![of_resource] }
}

/// The id of a stored span.
pub(crate) fn id_of(span_id: &str) -> Option<u64> {
    u64::from_str_radix(span_id, 16).ok()?.checked_sub(1)
}
