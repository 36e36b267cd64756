//! `IngestService`: native events, and the formats of the other sources.

use axum::Router;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use prost::Message as _;
use tonic::{Request, Status, Streaming};
use watershed_schema::wire::{Fields, Raw};
use watershed_schema::{TenantId, proto};
use watershed_sources::registry;

use super::Context;
use super::raw::{streaming, unary};
use crate::ingest::Counts;
use crate::{admission, refusal::Refusal, tenant};

/// Requests of one stream that are under way at a time; each has its own permit of the byte budget.
const UNDER_WAY: usize = 8;

pub(super) fn routes(context: &Context) -> Router {
    let (one, many, other) = (context.clone(), context.clone(), context.clone());
    unary("/watershed.v1.IngestService/Publish", move |request| publish(one.clone(), request))
        .merge(streaming("/watershed.v1.IngestService/PublishStream", move |requests| stream(many.clone(), requests)))
        .merge(unary("/watershed.v1.IngestService/Send", move |request| send(other.clone(), request)))
}

async fn publish(context: Context, request: Request<Bytes>) -> Result<Bytes, Status> {
    let tenant = tenant::of(&request.metadata().clone().into_headers())?;
    let counts = native(&context, request.into_inner(), tenant).await?;
    Ok(Bytes::from(response(&counts).encode_to_vec()))
}

async fn native(context: &Context, message: Bytes, tenant: TenantId) -> Result<Counts, Refusal> {
    let permit = admission::admit(&context.intake, &context.drain, &tenant, message.len())?;
    context.intake.native(batch_of(&message)?, tenant, permit).await
}

/// Answers in the order of the requests. Ends with the requests, or when one of them cannot be read.
async fn stream(
    context: Context,
    requests: Request<Streaming<Bytes>>,
) -> Result<impl Stream<Item = Result<Bytes, Status>> + Send + 'static, Status> {
    let tenant = tenant::of(&requests.metadata().clone().into_headers())?;
    let answer = move |(number, message): (usize, Result<Bytes, Status>)| {
        let (context, tenant) = (context.clone(), tenant.clone());
        async move {
            let outcome = native(&context, message?, tenant).await;
            Ok(Bytes::from(ack(number as u64, outcome).encode_to_vec()))
        }
    };
    Ok(requests.into_inner().enumerate().map(answer).buffered(UNDER_WAY))
}

fn ack(number: u64, outcome: Result<Counts, Refusal>) -> proto::PublishAck {
    use proto::publish_ack::Outcome;
    let outcome = match outcome {
        Ok(counts) => Outcome::Done(response(&counts)),
        Err(refusal) => Outcome::Refused(refusal.to_proto()),
    };
    proto::PublishAck { number, outcome: Some(outcome) }
}

async fn send(context: Context, request: Request<Bytes>) -> Result<Bytes, Status> {
    let tenant = tenant::of(&request.metadata().clone().into_headers())?;
    let message = request.into_inner();
    let permit = admission::admit(&context.intake, &context.drain, &tenant, message.len())?;
    let undecodable = |error| Refusal::Invalid(format!("request is not decodable: {error}"));
    let proto::SendRequest { path, body } = proto::SendRequest::decode(message).map_err(undecodable)?;
    let unknown = || Refusal::Invalid(format!("path: `{path}` is no endpoint of a source"));
    let found = registry::by_path(&path).ok_or_else(unknown)?;
    let counts = context.intake.source(found, body, tenant, permit).await?;
    Ok(Bytes::from(response(&counts).encode_to_vec()))
}

fn response(Counts { accepted, rejects }: &Counts) -> proto::PublishResponse {
    let reasons = rejects.first.iter().map(|reject| format!("event {}: {}: {}", reject.index, reject.field, reject.reason));
    proto::PublishResponse { accepted: *accepted, rejected: rejects.count, reasons: reasons.collect() }
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
