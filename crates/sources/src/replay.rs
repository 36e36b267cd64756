//! Session replay: events of rrweb, <https://github.com/rrweb-io/rrweb/blob/master/docs/recipes/dive-into-event.md>.
//!
//! A request is an array of events, an event, or
//! `{"sessionId":…,"pageUrl":…,"sequence":…,"sessionStart":…,"events":[…]}` (form: `browser.rs`). `sequence` is the number
//! of the first event there, `sessionStart` the time of the session's first event. `replay_data` is the event as it was
//! sent (half a surrogate pair is U+FFFD, as players show it): the values of a session, in order, are what `rrweb.Replayer` takes.

use std::collections::BTreeMap;

use watershed_schema::limits::MESSAGE_BYTES_MAX;
use watershed_schema::{Column, EventType};

use crate::browser::{self, Kind, Sent};
use crate::json::{Loose as _, Object, missing};
use crate::rows::Row;
use crate::{Context, Fault, InvalidRequest, Transformed};

/// Largest request, bytes, compressed or not: recordings come 5 MB at a time, and compressed ones grow to three times that.
pub const REQUEST_BYTES_MAX: usize = MESSAGE_BYTES_MAX;

const RECORDING_BYTES: usize = 5_000_000;
const _: () = assert!(REQUEST_BYTES_MAX >= 3 * RECORDING_BYTES, "a compressed recording must fit when unpacked");

const KIND: Kind =
    Kind { source: "replay", event_type: EventType::Replay, list: "events", shared: &["sequence", "sessionStart"] };

/// `EventType` of rrweb, by number.
const TYPES: [&str; 7] = ["DomContentLoaded", "Load", "FullSnapshot", "IncrementalSnapshot", "Meta", "Custom", "Plugin"];
const INCREMENTAL: i64 = 3;
const META: i64 = 4;

/// `IncrementalSource` of rrweb, by number.
const SOURCES: [&str; 17] = [
    "Mutation",
    "MouseMove",
    "MouseInteraction",
    "Scroll",
    "ViewportResize",
    "Input",
    "TouchMove",
    "MediaInteraction",
    "StyleSheetRule",
    "CanvasMutation",
    "Font",
    "Log",
    "Drag",
    "StyleDeclaration",
    "Selection",
    "AdoptedStyleSheet",
    "CustomElement",
];

/// Events of a request to `/v1/replay`.
///
/// # Errors
/// [`InvalidRequest`] when the request is not JSON.
pub fn transform(request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    let mut counts = BTreeMap::new();
    browser::transform(&KIND, request, context, |sent, row| write(sent, &mut counts, row))
}

/// How many events of each session the request had so far.
type Counts = BTreeMap<String, i64>;

fn write(sent: &Sent<'_, '_>, counts: &mut Counts, row: &mut Row<'_, '_>) -> Result<(), Fault> {
    let session = sent.either(|object| object.word("sessionId"))?.filter(|id| !id.is_empty());
    let session = session.ok_or_else(|| missing("sessionId"))?;
    let number = sent.record.required("type", Object::int)?;
    let (kind, source) = (name_of(&TYPES, number), source(number, sent.record)?);
    let time = sent.record.time("timestamp")?;
    let sequence = sequence(sent, &session, counts)?;
    row.id_of(&session, &[&sequence.to_string(), sent.raw.get()]);
    row.name(&source.as_ref().map_or_else(|| kind.clone(), |source| format!("{kind}.{source}")));
    row.time(time)?;
    sent.write_visit(row)?;
    sent.trace().write(row);
    row.text(Column::HttpUrl, sent.either(|object| object.text("pageUrl"))?.or_else(|| page(number, sent.record)));
    row.text(Column::ReplayType, Some(kind));
    row.text(Column::ReplaySource, source);
    row.int(Column::ReplaySequence, Some(sequence));
    row.float(Column::ReplayTimestampOffset, offset_ms(time, sent.either(|object| object.time("sessionStart"))?));
    row.bytes(Column::ReplayData, sent.raw.get().as_bytes());
    counts.entry(session.into_owned()).and_modify(|count| *count += 1).or_insert(1);
    Ok(())
}

fn name_of(names: &[&str], number: i64) -> String {
    let name = usize::try_from(number).ok().and_then(|place| names.get(place));
    name.map_or_else(|| format!("Unknown({number})"), |name| (*name).to_owned())
}

/// What an incremental event is about.
fn source(number: i64, event: &Object<'_>) -> Result<Option<String>, Fault> {
    if number != INCREMENTAL {
        return Ok(None);
    }
    let inner = event.object("data").or_absent().unwrap_or_default().int("source")?;
    let number = inner.map_or_else(|| event.int("source"), |number| Ok(Some(number)))?;
    Ok(number.map(|number| name_of(&SOURCES, number)))
}

/// A `Meta` event names the page itself.
fn page<'a>(number: i64, event: &Object<'a>) -> Option<std::borrow::Cow<'a, str>> {
    (number == META).then(|| event.object("data").or_absent())??.text("href").or_absent()
}

/// Given, or counted in the request.
fn sequence(sent: &Sent<'_, '_>, session: &str, counts: &Counts) -> Result<i64, Fault> {
    let first = sent.in_envelope(|envelope| envelope.int("sequence"))?;
    let in_envelope = first.map(|first| first.saturating_add_unsigned(sent.place as u64));
    let own = sent.record.int("sequence")?.or(in_envelope);
    Ok(own.unwrap_or_else(|| counts.get(session).copied().unwrap_or(0)))
}

#[expect(clippy::cast_precision_loss, reason = "a session is shorter than 2^53 µs")]
fn offset_ms(time_us: Option<i64>, start_us: Option<i64>) -> Option<f64> {
    Some(time_us?.saturating_sub(start_us?) as f64 / 1e3)
}
