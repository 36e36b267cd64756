//! A plain OTLP/gRPC sender.

use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// The three methods.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Method {
    Traces,
    Metrics,
    Logs,
}

impl Method {
    fn path(self) -> PathAndQuery {
        PathAndQuery::from_static(match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        })
    }
}

/// Sends requests over one connection.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) channel: Channel,
    pub(crate) compression: Option<CompressionEncoding>,
    pub(crate) tenant: Option<String>,
}

impl Sender {
    /// Sends one request and waits for the acknowledgement; the answers of all signals have one form.
    pub(crate) async fn send<M: Message + Default + 'static, R: Message + Default + 'static>(
        &self,
        method: Method,
        message: M,
    ) -> Result<R, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_encoding_message_size(64 << 20);
        if let Some(compression) = self.compression {
            grpc = grpc.send_compressed(compression);
        }
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = Request::new(message);
        if let Some(tenant) = &self.tenant {
            let value = tenant.parse().map_err(|_bad| Status::invalid_argument("tenant cannot stand in a header"))?;
            request.metadata_mut().insert("x-scope-orgid", value);
        }
        Ok(grpc.unary(request, method.path(), tonic_prost::ProstCodec::default()).await?.into_inner())
    }
}
