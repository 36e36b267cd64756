//! The browser snippet: requests of a page, as `PerformanceResourceTiming.toJSON()` gives them,
//! <https://www.w3.org/TR/resource-timing/>; and the script that sends them.
//!
//! A request is an array of entries, an entry, or `{"sessionId":…,"pageUrl":…,"timeOrigin":…,"entries":[…]}`
//! (form: `browser.rs`). `timeOrigin` is `performance.timeOrigin`, milliseconds since 1970: without it, and without a
//! `timestamp`, an entry has the time of its arrival. What has no column, and the times that columns are differences of,
//! stay in `data`.

mod script;
mod timing;

use std::borrow::Cow;

use url::Url;
use watershed_schema::limits::MESSAGE_BYTES_MAX;
use watershed_schema::{Column, EventType};

use crate::browser::{self, Kind, Sent};
use crate::json::{self, Loose as _, Object, quoted};
use crate::rows::Row;
use crate::system::storable;
use crate::{Context, Fault, InvalidRequest, Transformed};
pub use script::SCRIPT;
use timing::Timing;

/// Largest request, bytes, compressed or not. `sendBeacon` stops at 64 KiB.
pub const REQUEST_BYTES_MAX: usize = MESSAGE_BYTES_MAX;

const KIND: Kind = Kind { source: "snippet", event_type: EventType::Snippet, list: "entries", shared: &["timeOrigin"] };

/// Events of a request to `/v1/snippet`.
///
/// # Errors
/// [`InvalidRequest`] when the request is not JSON.
pub fn transform(request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    browser::transform(&KIND, request, context, write)
}

fn write(sent: &Sent<'_, '_>, row: &mut Row<'_, '_>) -> Result<(), Fault> {
    let entry = sent.record;
    let name = entry.required("name", Object::text)?;
    let url = Url::parse(&name).map_err(|error| ("name", format!("is no URL: {error}")))?;
    let initiator = entry.required("initiatorType", Object::text)?;
    let (timing, page) = (Timing::of(entry)?, sent.either(|object| object.text("pageUrl"))?);
    row.id_of_place();
    row.name(&format!("{initiator}.request"));
    row.time(time(sent, &timing)?)?;
    sent.write_visit(row)?;
    sent.trace().or_trace(sent.either(|object| object.word("sessionId"))?).write(row);
    write_url(&name, &url, row);
    row.text(Column::HttpReferrer, page.as_deref());
    row.text(Column::SnippetInitiator, Some(&initiator));
    row.text(Column::SnippetResourceType, Some(&initiator));
    let request_id = entry.word("requestId")?;
    row.text(Column::CorrelationId, request_id.as_deref());
    row.text(Column::SnippetRequestId, request_id);
    timing.write(row);
    write_response(entry, row)?;
    row.data(rest(entry, page));
    Ok(())
}

/// The entry's own time, else when it began by the page's clock. A start beyond the calendar is none.
fn time(sent: &Sent<'_, '_>, timing: &Timing) -> Result<Option<i64>, Fault> {
    let own = sent.record.time("timestamp")?;
    let origin = sent.either(|object| object.time("timeOrigin"))?;
    let began = origin.and_then(|origin| began_at(origin, timing.start()?));
    let known = own.or(began);
    known.map_or_else(|| sent.in_envelope(|envelope| envelope.time("timestamp")), |known| Ok(Some(known)))
}

#[expect(clippy::cast_precision_loss, reason = "times are exact to the microsecond until the year 2255")]
fn began_at(origin_us: i64, start_ms: f64) -> Option<i64> {
    storable("startTime", json::millis(origin_us as f64 / 1e3 + start_ms)).ok()
}

fn write_url(name: &str, url: &Url, row: &mut Row<'_, '_>) {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    row.text(Column::HttpUrl, Some(name));
    row.text(Column::HttpHost, url.host_str().map(|host| format!("{host}{port}")));
    row.text(Column::HttpPath, Some(url.path()));
    row.text(Column::HttpQuery, url.query().filter(|query| !query.is_empty()).map(|query| format!("?{query}")));
}

/// Sizes and status. The browser hides what a page of another origin may not know as 0 and "".
fn write_response(entry: &Object<'_>, row: &mut Row<'_, '_>) -> Result<(), Fault> {
    let (transferred, decoded) = (entry.int("transferSize")?, entry.int("decodedBodySize")?);
    let status = entry.int("responseStatus")?;
    row.int(Column::SnippetTransferSize, transferred);
    row.int(Column::SnippetDecodedSize, decoded);
    row.text(Column::SnippetCacheState, Some(cache_state(transferred, decoded, status)));
    row.int(Column::HttpStatus, status.filter(|status| *status != 0));
    row.text(Column::HttpProtocol, entry.text("nextHopProtocol").or_absent().filter(|protocol| !protocol.is_empty()));
    row.text(Column::HttpContentType, entry.text("contentType").or_absent().filter(|kind| !kind.is_empty()));
    Ok(())
}

/// Where the body came from.
fn cache_state(transferred: Option<i64>, decoded: Option<i64>, status: Option<i64>) -> &'static str {
    match (transferred, decoded, status) {
        (Some(0), Some(1..), _) => "local",
        (_, _, Some(304)) => "validated",
        _ => "network",
    }
}

fn rest(entry: &Object<'_>, page: Option<Cow<'_, str>>) -> Option<String> {
    const KNOWN: [&str; 7] = ["name", "initiatorType", "startTime", "duration", "requestId", "transferSize", "decodedBodySize"];
    let mut rest = KIND.rest(entry, &KNOWN);
    rest.maybe("page_url", page.map(|page| quoted(&page)));
    rest.finish()
}
