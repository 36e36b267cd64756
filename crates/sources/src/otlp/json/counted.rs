//! What an OTLP/JSON request holds, counted before it is read into messages: an empty object is three bytes of text and
//! hundreds of bytes of memory.

use serde::Deserialize;
use serde::de::IgnoredAny;
use watershed_schema::BatchError;
use watershed_schema::limits::{BATCH_ROWS_MAX, JSON_OBJECTS_MAX};

use super::undecodable;
use crate::{InvalidRequest, json};

/// Refuses more records than a batch may have, and more objects than a request of real records can have.
pub(super) fn check(request: &str) -> Result<(), InvalidRequest> {
    let objects = json::objects(request);
    if objects > JSON_OBJECTS_MAX {
        return Err(InvalidRequest::Undecodable(format!("JSON: has {objects} objects, limit {JSON_OBJECTS_MAX}")));
    }
    let rows = serde_json::from_str::<Request>(request).map_err(undecodable)?.records();
    if rows > BATCH_ROWS_MAX { Err(BatchError::TooManyRows(rows).into()) } else { Ok(()) }
}

/// A list that may be absent or null.
type List<T> = Option<Vec<T>>;

/// Records are not kept: a list of what is ignored takes no memory.
type Records = List<IgnoredAny>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    resource_spans: List<ResourceGroup>,
    resource_metrics: List<ResourceGroup>,
    resource_logs: List<ResourceGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceGroup {
    scope_spans: List<ScopeGroup>,
    scope_metrics: List<ScopeGroup>,
    scope_logs: List<ScopeGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeGroup {
    spans: Records,
    metrics: Records,
    log_records: Records,
}

impl Request {
    fn records(self) -> usize {
        let groups = [self.resource_spans, self.resource_metrics, self.resource_logs];
        groups.into_iter().flatten().flatten().map(ResourceGroup::records).sum()
    }
}

impl ResourceGroup {
    fn records(self) -> usize {
        let groups = [self.scope_spans, self.scope_metrics, self.scope_logs];
        groups.into_iter().flatten().flatten().map(ScopeGroup::records).sum()
    }
}

impl ScopeGroup {
    fn records(self) -> usize {
        [self.spans, self.metrics, self.log_records].into_iter().flatten().map(|records| records.len()).sum()
    }
}
