//! A plain OTLP/gRPC sender, and requests to send.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// How long a leader is waited for, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(50);
const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A sender of traces.
#[derive(Clone, Debug)]
pub struct Exporter {
    channel: Channel,
    /// Compresses with it.
    pub compression: Option<CompressionEncoding>,
    tenant: Option<&'static str>,
}

impl Exporter {
    /// Connects.
    ///
    /// # Panics
    /// When nobody answers.
    pub async fn connect(endpoint: &str) -> Self {
        Self::over(Channel::from_shared(endpoint.to_owned()).expect("an address").connect().await.expect("connects"))
    }

    /// Sends over a connection that there is.
    #[must_use]
    pub fn over(channel: Channel) -> Self {
        Self { channel, compression: None, tenant: None }
    }

    /// Speaks for a tenant from now on.
    #[must_use]
    pub fn with_tenant(self, tenant: &'static str) -> Self {
        Self { tenant: Some(tenant), ..self }
    }

    /// Sends spans.
    ///
    /// # Errors
    /// What the server says.
    pub async fn traces(&self, request: ExportTraceServiceRequest) -> Result<ExportTraceServiceResponse, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_encoding_message_size(64 << 20);
        if let Some(compression) = self.compression {
            grpc = grpc.send_compressed(compression);
        }
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = tonic_prost::ProstCodec::default();
        let mut request = Request::new(request);
        if let Some(tenant) = self.tenant {
            request.metadata_mut().insert("x-scope-orgid", MetadataValue::from_static(tenant));
        }
        Ok(grpc.unary(request, http::uri::PathAndQuery::from_static(TRACES), codec).await?.into_inner())
    }

    /// Sends spans, again while a shard has no leader, as an exporter does that is told when to come back. A retry adds nothing.
    ///
    /// # Panics
    /// When they are refused for another reason.
    pub async fn until_taken(&self, request: ExportTraceServiceRequest) {
        // Not [`crate::until`]: senders are tasks of their own, and what it waits with cannot go to another thread.
        let deadline = Instant::now() + PATIENCE;
        while let Err(refused) = self.traces(request.clone()).await {
            assert!(refused.code() == Code::Unavailable && Instant::now() < deadline, "{refused}");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// A text attribute.
#[must_use]
pub fn text(key: &str, value: &str) -> KeyValue {
    let value = any_value::Value::StringValue(value.to_owned());
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// Spans `first..first + count`; their numbers stand in their ids, so that each can be told.
#[must_use]
pub fn spans(first: u64, count: u64) -> ExportTraceServiceRequest {
    const START: u64 = 1_760_000_000_000_000_000;
    let span = |n: u64| Span {
        trace_id: (u128::from(n / 4 + 1) << 8 | 1).to_be_bytes().to_vec(),
        span_id: (n + 1).to_be_bytes().to_vec(),
        name: format!("GET /item/{}", n % 10),
        start_time_unix_nano: START + n * 1_000_000,
        end_time_unix_nano: START + n * 1_000_000 + 500_000,
        attributes: vec![text("http.request.method", "GET"), text("n", &n.to_string())],
        ..Span::default()
    };
    let scope_spans = ScopeSpans { spans: (first..first + count).map(span).collect(), ..ScopeSpans::default() };
    let resource = Resource { attributes: vec![text("service.name", "shop")], ..Resource::default() };
    let of_resource = ResourceSpans { resource: Some(resource), scope_spans: vec![scope_spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![of_resource] }
}
