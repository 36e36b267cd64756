//! JSON text put together from parts, without looking into them.

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
    fn members_are_added_and_nothing_is_lost() {
        assert_eq!(Members::default().finish(), None);
        assert_eq!(with_member(None, "t", "1"), r#"{"t":1}"#);
        assert_eq!(with_member(Some(" { } "), "t", "1"), r#"{"t":1}"#);
        assert_eq!(with_member(Some(r#"{"a":{"b":2}}"#), "t\"", "1"), r#"{"a":{"b":2},"t\"":1}"#);
        assert_eq!(with_member(Some("[1,2]"), "t", "1"), r#"{"value":[1,2],"t":1}"#);
    }
}
