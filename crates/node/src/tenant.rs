//! Who owns a request: `x-scope-orgid`, else `default`. Never trusted from a payload.

use http::{HeaderMap, HeaderName};
use watershed_schema::TenantId;

use crate::refusal::Refusal;

/// The header, or the key of gRPC metadata.
pub(crate) const NAME: HeaderName = HeaderName::from_static(HEADER);
const HEADER: &str = "x-scope-orgid";

pub(crate) fn of(headers: &HeaderMap) -> Result<TenantId, Refusal> {
    let Some(value) = headers.get(HEADER) else { return Ok(TenantId::default()) };
    let bad = |reason: String| Refusal::Invalid(format!("header {HEADER}: {reason}"));
    let text = value.to_str().map_err(|error| bad(error.to_string()))?;
    TenantId::new(text).map_err(|error| bad(error.to_string()))
}
