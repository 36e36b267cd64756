//! A request's body: bounded as it comes in and again as it is decompressed.

use std::io::Read;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use watershed_schema::limits::DECOMPRESSION_RATIO_MAX;

use crate::refusal::Refusal;

/// The length that a request says its body has.
pub(super) fn declared(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body and undoes its `Content-Encoding`; neither form has more than `bytes_max`.
pub(super) async fn plain(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, Refusal> {
    decompressed(headers, read(body, bytes_max).await?, bytes_max)
}

async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Refusal> {
    let read = Limited::new(body, bytes_max).collect().await;
    read.map(http_body_util::Collected::to_bytes).map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Refusal::Invalid(format!("body has more bytes than the limit {bytes_max}")),
        None => Refusal::Invalid(format!("body: {error}")),
    })
}

/// gzip, zstd, identity.
fn decompressed(headers: &HeaderMap, body: Bytes, bytes_max: usize) -> Result<Bytes, Refusal> {
    let encoding = headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
    match encoding {
        None | Some("" | "identity") => Ok(body),
        Some("gzip") => inflate(flate2::read::MultiGzDecoder::new(&*body), "gzip", (body.len(), bytes_max)),
        Some("zstd") => {
            let decoder = zstd::Decoder::new(&*body).map_err(|error| Refusal::Invalid(format!("body: zstd: {error}")))?;
            inflate(decoder, "zstd", (body.len(), bytes_max))
        }
        Some(other) => Err(Refusal::Invalid(format!("header content-encoding: `{other}` is not one of gzip, zstd, identity"))),
    }
}

fn inflate(decoder: impl Read, name: &str, (compressed, bytes_max): (usize, usize)) -> Result<Bytes, Refusal> {
    let limit = bytes_max.min(compressed.saturating_mul(DECOMPRESSION_RATIO_MAX).max(64 * 1024));
    let mut plain = Vec::with_capacity((compressed * 4).min(limit));
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut plain);
    read.map_err(|error| Refusal::Invalid(format!("body: {name}: {error}")))?;
    if plain.len() > limit {
        let reason = format!(
            "body: {compressed} bytes of {name} hold more than {limit}, limit {bytes_max} bytes and {DECOMPRESSION_RATIO_MAX}:1"
        );
        return Err(Refusal::Invalid(reason));
    }
    Ok(Bytes::from(plain))
}
