//! `SubscribeService.Subscribe`: a stream for as long as the client wants it.

use axum::Router;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use prost::Message as _;
use tonic::{Request, Status};
use watershed_schema::proto;

use super::Context;
use super::raw::server_streaming;
use crate::refusal::Refusal;
use crate::subscribe::Streams;
use crate::tenant;

pub(super) fn routes(context: &Context) -> Router {
    let streams = context.streams.clone();
    server_streaming("/watershed.v1.SubscribeService/Subscribe", move |request| follow(streams.clone(), request))
}

async fn follow(
    streams: Streams,
    request: Request<Bytes>,
) -> Result<impl Stream<Item = Result<Bytes, Status>> + Send + 'static, Status> {
    streams.drain.refuse_if_begun()?;
    let tenant = tenant::of(&request.metadata().clone().into_headers())?;
    let asked = proto::SubscribeRequest::decode(request.into_inner())
        .map_err(|error| Refusal::Invalid(format!("request is not decodable: {error}")))?;
    let stream = streams.open(tenant, asked).await?;
    Ok(stream.messages(streams.drain).map(|told| told.map(|message| message.to_proto()).map_err(Status::from)))
}
