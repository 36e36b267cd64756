//! Web vitals: the `Metric` objects of the `web-vitals` library, <https://github.com/GoogleChrome/web-vitals#types>.
//!
//! A request is a metric, an array of metrics, or `{"sessionId":…,"pageUrl":…,"metrics":[…]}` (form: `browser.rs`).
//! `timestamp`, where sent, is when the metric was reported. `entries`, `attribution` and what else has no column stay in
//! `data`.

use std::borrow::Cow;

use watershed_schema::limits::MESSAGE_BYTES_MAX;
use watershed_schema::{Column, EventType};

use crate::browser::{self, Kind, Sent};
use crate::json::{Loose as _, Object};
use crate::rows::Row;
use crate::{Context, Fault, InvalidRequest, Transformed};

/// Largest request, bytes, compressed or not. `sendBeacon` stops at 64 KiB.
pub const REQUEST_BYTES_MAX: usize = MESSAGE_BYTES_MAX;

const KIND: Kind = Kind { source: "web_vitals", event_type: EventType::Vital, list: "metrics", shared: &[] };

/// Metrics there are; FID was dropped from the library's version 5 and is still sent by older ones.
const NAMES: [&str; 6] = ["LCP", "FID", "CLS", "TTFB", "FCP", "INP"];

/// Events of a request to `/v1/vitals`.
///
/// # Errors
/// [`InvalidRequest`] when the request is not JSON.
pub fn transform(request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    browser::transform(&KIND, request, context, write)
}

fn write(sent: &Sent<'_, '_>, row: &mut Row<'_, '_>) -> Result<(), Fault> {
    let (metric, name) = (sent.record, name(sent.record)?);
    let value = metric.required("value", Object::float)?;
    write_id(sent, row)?;
    row.name(name);
    row.time(sent.either(|object| object.time("timestamp"))?)?;
    sent.write_visit(row)?;
    sent.trace().write(row);
    row.text(Column::SpanId, metric.word("id")?);
    row.text(Column::HttpUrl, page(sent)?);
    row.float(Column::DurationMs, (name != "CLS").then_some(value));
    row.text(Column::VitalName, Some(name));
    row.float(Column::VitalValue, Some(value));
    row.float(Column::VitalDelta, metric.float("delta")?);
    row.text(Column::VitalRating, metric.text("rating")?);
    row.text(Column::NavType, metric.text("navigationType")?);
    write_attribution(metric, row);
    row.data(KIND.rest(metric, &["name", "value", "delta", "rating", "id", "navigationType"]).finish());
    Ok(())
}

fn name(metric: &Object<'_>) -> Result<&'static str, Fault> {
    let name = metric.required("name", Object::text)?;
    let known = NAMES.iter().find(|known| **known == name).copied();
    known.ok_or_else(|| ("name", format!("`{name}` is none of {}", NAMES.join(", "))))
}

/// A metric is reported again under its id when its value grew; a beacon that is sent twice says the same value.
fn write_id(sent: &Sent<'_, '_>, row: &mut Row<'_, '_>) -> Result<(), Fault> {
    let Some(id) = sent.record.word("id")?.filter(|id| !id.is_empty()) else {
        row.id_of_place();
        return Ok(());
    };
    let session = sent.either(|object| object.word("sessionId"))?;
    let said = |name| sent.record.raw(name).map_or("", |raw| raw.get());
    row.id_of(session.as_ref().unwrap_or(&id), &[&id, said("name"), said("value"), said("delta")]);
    Ok(())
}

/// A soft navigation knows its page better than the envelope does.
fn page<'a>(sent: &Sent<'_, 'a>) -> Result<Option<Cow<'a, str>>, Fault> {
    let own = sent.record.text("pageUrl")?.or_else(|| sent.record.text("navigationURL").or_absent());
    own.map_or_else(|| sent.in_envelope(|envelope| envelope.text("pageUrl")), |own| Ok(Some(own)))
}

fn write_attribution(metric: &Object<'_>, row: &mut Row<'_, '_>) {
    let attribution = metric.object("attribution").or_absent().unwrap_or_default();
    let target = TARGETS.iter().find_map(|name| attribution.text(name).or_absent());
    row.text(Column::VitalElement, target.or_else(|| first_tag(metric)));
    row.text(Column::VitalLoadState, attribution.text("loadState").or_absent());
}

/// What the selector of the responsible element is called: of LCP, CLS, INP; the rest are names of versions before 4.
const TARGETS: [&str; 5] = ["target", "largestShiftTarget", "interactionTarget", "element", "eventTarget"];

/// `entries[0].element.tagName`, if the sender wrote elements out; as JSON an element is `{}`.
fn first_tag<'a>(metric: &Object<'a>) -> Option<Cow<'a, str>> {
    let entry = Object::of(metric.list("entries").or_absent()?.first()?)?;
    entry.object("element").or_absent()?.text("tagName").or_absent()
}
