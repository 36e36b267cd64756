//! What browsers send: records, bare or in an envelope that says once what they share.
//!
//! A request is a record, an array of records, or an envelope
//! `{"sessionId":…,"pageUrl":…,"traceparent":…,"userId":…,"anonymousId":…,"userAgent":…,"timestamp":…,<list>:[record, …]}`;
//! also several of these, one a line. Any of the shared members may stand in a record instead, and wins there.

use serde_json::value::RawValue;
use watershed_schema::{Column, EventType};

use crate::json::{self, Members, Object};
use crate::rows::{Row, Rows};
use crate::trace_context::TraceParent;
use crate::{Context, Fault, InvalidRequest, Transformed};

/// One kind of request.
pub(crate) struct Kind {
    /// Goes to `event_source`.
    pub(crate) source: &'static str,
    /// What its records become.
    pub(crate) event_type: EventType,
    /// The envelope's member that holds the records.
    pub(crate) list: &'static str,
    /// What the envelope may say beside [`SHARED`] and has a column.
    pub(crate) shared: &'static [&'static str],
}

/// Members that records have in common, and that are columns; the key is the transport's.
const SHARED: [&str; 10] =
    ["sessionId", "pageUrl", "traceparent", "traceId", "parentId", "userId", "anonymousId", "userAgent", "timestamp", "writeKey"];

impl Kind {
    /// Members of a record or an envelope that have no column.
    pub(crate) fn rest(&self, object: &Object<'_>, own: &[&str]) -> Members {
        object.rest(&[&SHARED[..], self.shared, own].concat())
    }

    /// The records of an object, and what it says for all of them; without a list it is a record itself.
    fn unpack<'a>(&self, raw: &'a RawValue) -> Result<(Envelope<'a>, Vec<&'a RawValue>), Fault> {
        let members = Object::of(raw).unwrap_or_default();
        let Some(records) = members.list(self.list)? else { return Ok((Envelope::default(), vec![raw])) };
        let rest = self.rest(&members, &[self.list]).finish();
        let rest = rest.map(|text| RawValue::from_string(text).expect("invariant: JSON put together from JSON"));
        // Each record looks here: an envelope of a million members must not cost a million looks for each.
        let members = members.only(|name| SHARED.contains(&name) || self.shared.contains(&name));
        Ok((Envelope { members, rest }, records))
    }
}

#[derive(Default)]
struct Envelope<'a> {
    members: Object<'a>,
    /// Members without a column: they go to `context`.
    rest: Option<Box<RawValue>>,
}

/// A record as it was sent.
pub(crate) struct Sent<'r, 'a> {
    pub(crate) raw: &'a RawValue,
    pub(crate) record: &'r Object<'a>,
    envelope: &'r Envelope<'a>,
    /// Its place in the envelope.
    pub(crate) place: usize,
}

impl<'a> Sent<'_, 'a> {
    /// What the record says itself, else its envelope.
    pub(crate) fn either<T>(&self, read: impl Fn(&Object<'a>) -> Result<Option<T>, Fault>) -> Result<Option<T>, Fault> {
        match read(self.record)? {
            None => self.in_envelope(read),
            own => Ok(own),
        }
    }

    pub(crate) fn in_envelope<T>(&self, read: impl Fn(&Object<'a>) -> Result<Option<T>, Fault>) -> Result<Option<T>, Fault> {
        read(&self.envelope.members)
    }

    /// The trace of the page.
    pub(crate) fn trace(&self) -> TraceParent<'a> {
        let own = TraceParent::of(self.record);
        if own == TraceParent::default() { TraceParent::of(&self.envelope.members) } else { own }
    }

    /// Who was there, and what else the envelope says.
    pub(crate) fn write_visit(&self, row: &mut Row<'_, '_>) -> Result<(), Fault> {
        row.text(Column::SessionId, self.either(|object| object.word("sessionId"))?);
        row.text(Column::ActorId, self.either(|object| object.word("userId"))?);
        row.text(Column::AnonymousId, self.either(|object| object.word("anonymousId"))?);
        row.text(Column::HttpUserAgent, self.either(|object| object.text("userAgent"))?);
        row.json(Column::Context, self.envelope.rest.as_deref());
        Ok(())
    }
}

/// Events of a request.
///
/// # Errors
/// [`InvalidRequest`] when the request is not JSON, nested too deep, or holds more records than a batch may.
pub(crate) fn transform(
    kind: &Kind,
    request: &[u8],
    context: &Context,
    mut write: impl FnMut(&Sent<'_, '_>, &mut Row<'_, '_>) -> Result<(), Fault>,
) -> Result<Transformed, InvalidRequest> {
    let mut rows = Rows::new(kind.source, request, context);
    let text = json::checked(request)?;
    for raw in json::records(&text)? {
        match kind.unpack(raw) {
            Ok((envelope, records)) => {
                for (place, raw) in records.into_iter().enumerate() {
                    rows.record(raw, |record, rows| {
                        let sent = Sent { raw, record, envelope: &envelope, place };
                        rows.add(kind.event_type, |row| write(&sent, row))
                    });
                }
            }
            Err(fault) => rows.record(raw, |_, _| Err(fault)),
        }
    }
    rows.finish()
}
