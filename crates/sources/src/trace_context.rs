//! Trace and span ids in JSON requests, as W3C Trace Context writes them: <https://www.w3.org/TR/trace-context/>.

use std::borrow::Cow;

use watershed_schema::Column;

use crate::json::{Loose as _, Object};
use crate::rows::Row;

/// The trace that an event belongs to, and the span under which it happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TraceParent<'a> {
    trace: Option<Cow<'a, str>>,
    parent: Option<Cow<'a, str>>,
}

impl<'a> TraceParent<'a> {
    /// From the members `traceparent`, else `traceId` and `parentId`; ids in lower case, all zeros are none.
    pub(crate) fn of(object: &Object<'a>) -> Self {
        let read = |name| object.text(name).or_absent();
        match read("traceparent").as_deref().and_then(parse) {
            Some((trace, parent)) => Self { trace: Some(Cow::Owned(trace)), parent: Some(Cow::Owned(parent)) }.tidy(),
            None => Self { trace: read("traceId"), parent: read("parentId") }.tidy(),
        }
    }

    /// From the text of a `traceparent`.
    pub(crate) fn of_header(header: &str) -> Self {
        let (trace, parent) = parse(header).unzip();
        Self { trace: trace.map(Cow::Owned), parent: parent.map(Cow::Owned) }.tidy()
    }

    /// The same, in the trace `id` if it is in none; an empty id is none.
    pub(crate) fn or_trace(self, id: Option<Cow<'a, str>>) -> Self {
        Self { trace: self.trace.or(id.filter(|id| !id.is_empty())), ..self }
    }

    /// Writes `trace_id` and `parent_id`.
    pub(crate) fn write(self, row: &mut Row<'_, '_>) {
        row.text(Column::TraceId, self.trace);
        row.text(Column::ParentId, self.parent);
    }

    fn tidy(self) -> Self {
        let tidy = |id: Cow<'a, str>| Cow::<'a, str>::Owned(id.to_ascii_lowercase());
        let known = |id: &Cow<'_, str>| id.bytes().any(|byte| byte != b'0');
        Self { trace: self.trace.filter(known).map(tidy), parent: self.parent.filter(known).map(tidy) }
    }
}

/// Version, 32 digits, 16 digits, flags.
fn parse(header: &str) -> Option<(String, String)> {
    let parts: Vec<_> = header.trim().split('-').collect();
    let [_, trace, parent, _] = parts[..] else { return None };
    let hex = |id: &str, length| id.len() == length && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hex(trace, 32) && hex(parent, 16)).then(|| (trace.to_owned(), parent.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_from_a_traceparent_or_from_members_of_their_own() {
        let ids = |json: &str| {
            let TraceParent { trace, parent } = TraceParent::of(&serde_json::from_str(json).unwrap());
            (trace.map(Cow::into_owned), parent.map(Cow::into_owned))
        };
        let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let both = (Some(trace.to_owned()), Some(parent.to_owned()));
        assert_eq!(ids(&format!(r#"{{"traceparent":"00-{}-{parent}-01"}}"#, trace.to_uppercase())), both);
        assert_eq!(ids(&format!(r#"{{"traceId":"{trace}","parentId":"{parent}"}}"#)), both);
        assert_eq!(ids(&format!(r#"{{"traceparent":"00-{}-{parent}-01"}}"#, "0".repeat(32))), (None, both.1));
        assert_eq!(ids(r#"{"traceparent":"nonsense","traceId":7}"#), (None, None));
    }
}
