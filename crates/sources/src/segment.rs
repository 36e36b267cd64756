//! Segment's tracking API: track, identify, page, screen, group, alias; one message or a batch.
//!
//! Rules: <https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/>. What has no column stays in
//! `context`, `properties`, `traits` or `data`.

mod context;

use std::borrow::Cow;

use serde_json::value::RawValue;
use watershed_schema::{Column, EventType};

use crate::json::{self, Loose as _, Object, missing, quoted};
use crate::rows::{Row, Rows};
use crate::{Context, Fault, InvalidRequest, Transformed};

const SOURCE: &str = "segment";
/// Largest message, bytes: Segment's own limit.
pub const MESSAGE_BYTES_MAX: usize = 32 * 1024;
/// Largest request, bytes: Segment's own limit.
pub const REQUEST_BYTES_MAX: usize = 500 * 1024;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// Somebody did something.
    Track,
    /// Who somebody is.
    Identify,
    /// Somebody saw a page.
    Page,
    /// Somebody saw a screen of an app.
    Screen,
    /// Somebody belongs to a group.
    Group,
    /// Two ids are one person.
    Alias,
}

impl Call {
    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "track" => Self::Track,
            "identify" => Self::Identify,
            "page" => Self::Page,
            "screen" => Self::Screen,
            "group" => Self::Group,
            "alias" => Self::Alias,
            _ => return None,
        })
    }

    /// Page and screen.
    fn is_view(self) -> bool {
        self.event_type() == EventType::Page
    }

    fn event_type(self) -> EventType {
        match self {
            Self::Page | Self::Screen => EventType::Page,
            Self::Track | Self::Identify | Self::Group | Self::Alias => EventType::Track,
        }
    }
}

/// Events of a request to `/v1/batch` or `/v1/import`; every message says its type.
///
/// # Errors
/// [`InvalidRequest`] when the request is no JSON object.
pub fn batch(request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    transform(None, request, context)
}

/// Events of a request to `/v1/track`.
///
/// # Errors
/// [`InvalidRequest`] when the request is no JSON object.
pub fn track(request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    transform(Some(Call::Track), request, context)
}

/// Events of a request to `/v1/identify`.
///
/// # Errors
/// [`InvalidRequest`] when the request is no JSON object.
pub fn identify(request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    transform(Some(Call::Identify), request, context)
}

/// Events of a request to `/v1/page`.
///
/// # Errors
/// [`InvalidRequest`] when the request is no JSON object.
pub fn page(request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    transform(Some(Call::Page), request, context)
}

/// Events of a request to `/v1/screen`.
///
/// # Errors
/// [`InvalidRequest`] when the request is no JSON object.
pub fn screen(request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    transform(Some(Call::Screen), request, context)
}

/// Events of a request to `/v1/group`.
///
/// # Errors
/// [`InvalidRequest`] when the request is no JSON object.
pub fn group(request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    transform(Some(Call::Group), request, context)
}

/// Events of a request to `/v1/alias`.
///
/// # Errors
/// [`InvalidRequest`] when the request is no JSON object.
pub fn alias(request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    transform(Some(Call::Alias), request, context)
}

fn transform(call: Option<Call>, request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    let mut rows = Rows::new(SOURCE, request, context);
    let text = json::checked(request)?;
    for request in json::records(&text)? {
        let whole = Object::of(request).ok_or_else(|| InvalidRequest::Undecodable("JSON: an object is wanted".to_owned()))?;
        let fields = |(field, reason): Fault| InvalidRequest::Undecodable(format!("{field}: {reason}"));
        let messages = whole.list("batch").map_err(fields)?;
        let sent_at = whole.time("sentAt").or_absent();
        let envelope = Envelope { call, sent_at, context: whole.raw("context"), is_batch: messages.is_some() };
        for message in messages.unwrap_or_else(|| vec![request]) {
            rows.record(message, |record, rows| envelope.message(message, record, rows));
        }
    }
    rows.finish()
}

/// What a request says for all of its messages.
struct Envelope<'a> {
    call: Option<Call>,
    sent_at: Option<i64>,
    context: Option<&'a RawValue>,
    /// Whether it has messages, or is one itself.
    is_batch: bool,
}

impl Envelope<'_> {
    fn message(&self, raw: &RawValue, record: &Object<'_>, rows: &mut Rows<'_>) -> Result<(), Fault> {
        self.check_bytes(raw, record)?;
        let call = self.call_of(record)?;
        rows.add(call.event_type(), |row| self.write(call, record, row))
    }

    /// The batch's context becomes part of every message that has none: it counts for each.
    fn check_bytes(&self, raw: &RawValue, record: &Object<'_>) -> Result<(), Fault> {
        let own = raw.get().len();
        if own > MESSAGE_BYTES_MAX {
            return Err(("message", format!("has {own} bytes, limit {MESSAGE_BYTES_MAX}")));
        }
        let shared = self.context.filter(|_| !record.has("context")).map_or(0, |context| context.get().len());
        if self.is_batch && own + shared > MESSAGE_BYTES_MAX {
            let all = own + shared;
            return Err(("message", format!("has {all} bytes with the batch's context, limit {MESSAGE_BYTES_MAX}")));
        }
        Ok(())
    }

    fn call_of(&self, record: &Object<'_>) -> Result<Call, Fault> {
        let Some(word) = record.text("type")? else {
            return self.call.ok_or_else(|| missing("type"));
        };
        let unknown = || ("type", format!("`{word}` is none of track, identify, page, screen, group, alias"));
        Call::from_word(&word).ok_or_else(unknown)
    }

    fn write(&self, call: Call, record: &Object<'_>, row: &mut Row<'_, '_>) -> Result<(), Fault> {
        let (user, anonymous) = (record.word("userId")?, record.word("anonymousId")?);
        if user.is_none() && anonymous.is_none() {
            return Err(("userId", "one of userId and anonymousId is required".to_owned()));
        }
        match record.word("messageId")?.filter(|id| !id.is_empty()) {
            Some(id) => row.id(&id),
            None => row.id_of_place(),
        }
        row.name(&name(call, record)?);
        row.text(Column::ActorId, user);
        row.text(Column::AnonymousId, anonymous);
        let said = self.write_time(record, row)?;
        let raw_context = record.raw("context").or(self.context);
        let about = context::About::of(raw_context, call, record);
        about.write(row);
        row.json(Column::Context, raw_context);
        row.json(Column::Properties, record.raw("properties"));
        row.data(rest(record, said));
        Ok(())
    }

    /// The sender's clock may be wrong, its differences are right. Returns the times as they were sent, if corrected.
    fn write_time(&self, record: &Object<'_>, row: &mut Row<'_, '_>) -> Result<Option<(i64, i64)>, Fault> {
        let original = match record.time("originalTimestamp")? {
            Some(time) => Some(time),
            None => record.time("timestamp")?,
        };
        let said = record.time("sentAt")?.or(self.sent_at).and_then(|sent| Some((original?, sent)));
        let received = row.context().received_at_us;
        row.time(said.map(|(original, sent)| received.saturating_sub(sent.saturating_sub(original))).or(original))?;
        Ok(said)
    }
}

fn name<'a>(call: Call, record: &Object<'a>) -> Result<Cow<'a, str>, Fault> {
    let view = |plain: &'static str| {
        let category = record.text("category").or_absent().filter(|category| !category.is_empty());
        category.map_or(Cow::Borrowed(plain), |category| Cow::Owned(format!("{category}.{plain}")))
    };
    Ok(match call {
        Call::Track => record.required("event", Object::text)?,
        Call::Identify => "identify".into(),
        Call::Group => "group".into(),
        Call::Alias => "alias".into(),
        Call::Page => view("page_view"),
        Call::Screen => view("screen_view"),
    })
}

/// Members that went to a column, or that are the transport's.
const KNOWN: [&str; 12] = [
    "type",
    "event",
    "userId",
    "anonymousId",
    "messageId",
    "timestamp",
    "originalTimestamp",
    "sentAt",
    "writeKey",
    "context",
    "properties",
    "traits",
];

/// What has no column: integrations, category, previousId …
fn rest(record: &Object<'_>, corrected: Option<(i64, i64)>) -> Option<String> {
    let mut rest = record.rest(&KNOWN);
    if let Some((original, sent)) = corrected {
        rest.raw("originalTimestamp", &quoted(&json::iso(original)));
        rest.raw("sentAt", &quoted(&json::iso(sent)));
    }
    rest.finish()
}
