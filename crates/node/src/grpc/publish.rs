//! `IngestService.Publish`: native events, one batch, one answer.

use axum::Router;
use bytes::Bytes;
use prost::Message as _;
use tonic::{Request, Status};
use watershed_schema::proto;
use watershed_schema::wire::{Fields, Raw};

use super::Context;
use super::raw::unary;
use crate::{admission, ingest, refusal::Refusal, tenant};

pub(super) fn routes(context: &Context) -> Router {
    let context = context.clone();
    unary("/watershed.v1.IngestService/Publish", move |request| publish(context.clone(), request))
}

async fn publish(context: Context, request: Request<Bytes>) -> Result<Bytes, Status> {
    let tenant = tenant::of(&request.metadata().clone().into_headers())?;
    let message = request.into_inner();
    let permit = admission::admit(&context.node, &context.drain, message.len())?;
    let body = batch_of(&message)?;
    let (accepted, rejects) = ingest::native(&context.node, body, tenant, permit).await?;
    let reasons = rejects.first.iter().map(|reject| format!("event {}: {}: {}", reject.index, reject.field, reject.reason));
    let response = proto::PublishResponse { accepted, rejected: rejects.count, reasons: reasons.collect() };
    Ok(Bytes::from(response.encode_to_vec()))
}

/// Field 1 of the request, as it stands.
fn batch_of(message: &Bytes) -> Result<Bytes, Refusal> {
    let malformed = |error: watershed_schema::wire::Malformed| Refusal::Invalid(format!("request is not decodable: {error}"));
    let mut fields = Fields::new(message);
    while let Some((field, raw)) = fields.next_field().map_err(malformed)? {
        if let (1, Raw::Bytes(batch)) = (field, raw) {
            return Ok(message.slice_ref(batch));
        }
    }
    Err(Refusal::Invalid("batch is missing".to_owned()))
}
