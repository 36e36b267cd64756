//! JSON text put together from parts, without looking into them.

use std::borrow::Cow;

use watershed_schema::payload;

/// A text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    payload::quote(text, &mut out);
    out
}

/// An object under construction; without members it is none.
#[derive(Debug, Default)]
pub(crate) struct Members(String);

impl Members {
    /// Adds a member whose value is JSON already.
    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        payload::quote(name, &mut self.0);
        self.0.push(':');
        self.0.push_str(json);
    }

    /// Adds a member whose value is JSON already, if there is one.
    pub(crate) fn maybe(&mut self, name: &str, json: Option<impl AsRef<str>>) {
        json.into_iter().for_each(|json| self.raw(name, json.as_ref()));
    }

    pub(crate) fn finish(mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push('}');
        Some(self.0)
    }
}

/// With `\ufffd` for each half of a surrogate pair that stands alone: JavaScript cuts texts within a character and sends
/// what is left, which no UTF-8 text can hold.
pub(crate) fn mended(text: &str) -> Cow<'_, str> {
    let (mut mended, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(found) = text.as_bytes().get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        at += found;
        match (unit(text, at), unit(text, at + UNIT_BYTES)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => at += 2 * UNIT_BYTES,
            (Some(0xd800..0xe000), _) => {
                mended.push_str(&text[copied..at]);
                mended.push_str("\\ufffd");
                at += UNIT_BYTES;
                copied = at;
            }
            // The escaped character may be a backslash.
            _ => at += 2,
        }
    }
    if copied == 0 { Cow::Borrowed(text) } else { Cow::Owned(mended + &text[copied..]) }
}

/// `\u` and four digits.
const UNIT_BYTES: usize = 6;

/// The UTF-16 unit that is escaped at a place.
fn unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + UNIT_BYTES)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

/// `object` with one more member; what is no object becomes the member `value` of a new one.
pub(crate) fn with_member(object: Option<&str>, name: &str, json: &str) -> String {
    let mut members = Members::default();
    let inner = object.and_then(|text| text.trim().strip_prefix('{')?.strip_suffix('}'));
    match (object, inner) {
        (_, Some(inner)) if !inner.trim().is_empty() => members.0 = format!("{{{inner}"),
        (Some(other), None) => members.raw("value", other),
        _ => {}
    }
    members.raw(name, json);
    members.finish().expect("invariant: a member was added")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_a_pair_are_mended_and_nothing_else_changes() {
        for (text, whole) in [
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\uDE00\uD83D""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\ud83d\ude00x""#, r#""\ufffd\ud83d\ude00x""#),
            (r#""\\ud83d \\\ud83d""#, r#""\\ud83d \\\ufffd""#),
            (r#""\ud83d\n\u00e4\ud8""#, r#""\ufffd\n\u00e4\ud8""#),
            ("\\ä\\", "\\ä\\"),
        ] {
            assert_eq!(mended(text), whole);
        }
    }

    #[test]
    fn members_are_added_and_nothing_is_lost() {
        assert_eq!(Members::default().finish(), None);
        assert_eq!(with_member(None, "t", "1"), r#"{"t":1}"#);
        assert_eq!(with_member(Some(" { } "), "t", "1"), r#"{"t":1}"#);
        assert_eq!(with_member(Some(r#"{"a":{"b":2}}"#), "t\"", "1"), r#"{"a":{"b":2},"t\"":1}"#);
        assert_eq!(with_member(Some("[1,2]"), "t", "1"), r#"{"value":[1,2],"t":1}"#);
    }
}
