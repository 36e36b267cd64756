//! `SubscribeService.Subscribe`: a stream for as long as the client wants it.

use axum::Router;
use bytes::Bytes;
use futures::Stream;
use prost::Message as _;
use tonic::{Request, Status};
use watershed_schema::proto;

use super::Context;
use super::raw::server_streaming;
use crate::refusal::Refusal;
use crate::{subscribe, tenant};

pub(super) fn routes(context: &Context) -> Router {
    let context = context.clone();
    server_streaming("/watershed.v1.SubscribeService/Subscribe", move |request| follow(context.clone(), request))
}

async fn follow(
    context: Context,
    request: Request<Bytes>,
) -> Result<impl Stream<Item = Result<Bytes, Status>> + Send + 'static, Status> {
    context.drain.refuse_if_begun()?;
    let tenant = tenant::of(&request.metadata().clone().into_headers())?;
    let asked = proto::SubscribeRequest::decode(request.into_inner())
        .map_err(|error| Refusal::Invalid(format!("request is not decodable: {error}")))?;
    let stream = subscribe::Stream::open(&context.node, &context.tokens, tenant, asked).await?;
    Ok(stream.messages(context.drain))
}
