//! OTLP/JSON: read into the protobuf messages, then the one pass over their bytes.
//!
//! JSON is the slow form by nature; what matters is that it means the same. Rules:
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.

mod counted;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde::de::DeserializeOwned;

use super::{Signal, transform};
use crate::json::mended;
use crate::{Context, InvalidRequest, Transformed};

/// Events of an export request in JSON; the same request in protobuf gives the same events.
///
/// # Errors
/// [`InvalidRequest`] with line and column when the text is no such request.
pub fn transform_json(signal: Signal, request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    let protobuf = match signal {
        Signal::Traces => protobuf::<ExportTraceServiceRequest>(request),
        Signal::Metrics => protobuf::<ExportMetricsServiceRequest>(request),
        Signal::Logs => protobuf::<ExportLogsServiceRequest>(request),
    };
    transform(signal, &protobuf?, context)
}

fn protobuf<M: Message + DeserializeOwned>(request: &[u8]) -> Result<Vec<u8>, InvalidRequest> {
    // serde takes an array for a struct's fields in order; OTLP does not.
    if request.trim_ascii_start().first().is_some_and(|byte| *byte != b'{') {
        return Err(InvalidRequest::Undecodable("JSON: an object is wanted at line 1 column 1".to_owned()));
    }
    let text = std::str::from_utf8(request).map_err(|error| InvalidRequest::Undecodable(format!("JSON: {error}")))?;
    let text = mended(text);
    counted::check(&text)?;
    let read = serde_json::from_str::<M>(&text);
    read.map(|message| message.encode_to_vec()).map_err(undecodable)
}

fn undecodable(error: serde_json::Error) -> InvalidRequest {
    InvalidRequest::Undecodable(format!("JSON: {error}"))
}
