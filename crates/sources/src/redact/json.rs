//! JSON text under redaction: members disappear, texts change, every other byte stays.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, Visitor};

use super::text::Pass;
use crate::json::quoted;

/// The text without what the rules take out; `None` when it is no JSON.
pub(super) fn rewritten<'t>(pass: &Pass<'_>, text: &'t str, level: usize) -> Option<Cow<'t, str>> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let mut rewriter = Rewriter { pass, text, level, at: 0, copied: 0, out: String::new(), open: Vec::new(), name_next: false };
    while rewriter.step() {}
    Some(rewriter.finish())
}

/// Walks a text that is JSON; depth is a stack, not recursion.
struct Rewriter<'p, 'r, 't> {
    pass: &'p Pass<'r>,
    text: &'t str,
    level: usize,
    at: usize,
    /// Up to here the text is in `out`, or cut.
    copied: usize,
    out: String,
    /// Whether each open bracket is that of an object.
    open: Vec<bool>,
    name_next: bool,
}

impl<'t> Rewriter<'_, '_, 't> {
    fn step(&mut self) -> bool {
        let Some(byte) = self.text.as_bytes().get(self.at) else { return false };
        match byte {
            b'"' => {
                self.string();
                return true;
            }
            b'-' | b'0'..=b'9' => {
                self.number();
                return true;
            }
            b'{' | b'[' => self.open.push(*byte == b'{'),
            b'}' | b']' => drop(self.open.pop()),
            _ => {}
        }
        match byte {
            b'{' | b',' => self.name_next = self.open.last() == Some(&true),
            b'[' | b'}' | b']' => self.name_next = false,
            _ => {}
        }
        self.at += 1;
        true
    }

    /// A name or a value.
    fn string(&mut self) {
        let end = end_of_string(self.text, self.at);
        let text = decoded(&self.text[self.at..end]);
        if std::mem::take(&mut self.name_next) && self.pass.rules.names.drops(&text) {
            return self.cut_member(end);
        }
        let new = self.pass.text(&text, self.level);
        if new != text {
            self.replace(end, &new);
        }
        self.at = end;
    }

    /// A card number that was sent as a number becomes a text.
    fn number(&mut self) {
        let is_of_number = |byte: &u8| matches!(byte, b'+' | b'-' | b'.' | b'0'..=b'9' | b'E' | b'e');
        let end = self.at + self.text.as_bytes()[self.at..].iter().take_while(|byte| is_of_number(byte)).count();
        if let Some(new) = self.pass.number(&self.text[self.at..end]) {
            self.replace(end, &new);
        }
        self.at = end;
    }

    fn replace(&mut self, end: usize, new: &str) {
        self.flush(self.at);
        self.out.push_str(&quoted(new));
        self.copied = end;
    }

    /// Cuts the member whose name begins here, and the comma that parted it from its neighbour.
    fn cut_member(&mut self, name_end: usize) {
        self.pass.change();
        self.flush(self.at);
        let end = end_of_value(self.text, name_end);
        if self.text[end..].starts_with(',') {
            let rest = &self.text[end + 1..];
            self.at = end + 1 + (rest.len() - rest.trim_start().len());
            self.name_next = true;
        } else {
            let before = self.out.trim_end();
            self.out.truncate(before.strip_suffix(',').map_or(self.out.len(), str::len));
            self.at = end;
        }
        self.copied = self.at;
    }

    fn flush(&mut self, to: usize) {
        self.out.push_str(&self.text[self.copied..to]);
        self.copied = to;
    }

    fn finish(mut self) -> Cow<'t, str> {
        if self.copied == 0 {
            return Cow::Borrowed(self.text);
        }
        self.flush(self.text.len());
        Cow::Owned(self.out)
    }
}

/// The end of the string that begins at `start`, behind its quote.
fn end_of_string(text: &str, start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// The comma or bracket behind the value that follows.
fn end_of_value(text: &str, from: usize) -> usize {
    let (mut at, mut depth) = (from, 0_usize);
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => at = end_of_string(text, at) - 1,
            b'{' | b'[' => depth += 1,
            b',' | b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// What a string says. Half a surrogate pair, which JSON allows, reads as U+FFFD.
fn decoded(string: &str) -> Cow<'_, str> {
    let inside = string.get(1..string.len() - 1).unwrap_or_default();
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    Cow::Owned(serde_json::from_str(string).map(|Lossy(text)| text).unwrap_or_default())
}

struct Lossy(String);

impl<'de> Deserialize<'de> for Lossy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(AnyString)
    }
}

struct AnyString;

impl Visitor<'_> for AnyString {
    type Value = Lossy;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Lossy, E> {
        Ok(Lossy(String::from_utf8_lossy(bytes).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Pattern, Redaction, Rules};
    use super::*;

    fn redacted(text: &str) -> Option<String> {
        let pattern = Pattern { pattern: r"\w+@\w+".into(), replacement: "mail".into() };
        let rules = Rules { builtin: false, keys: vec!["secret".into(), "a/b".into()], patterns: vec![pattern] };
        let redaction = Redaction::new(&rules).unwrap();
        rewritten(&Pass::new(&redaction), text, 1).map(Cow::into_owned)
    }

    #[test]
    fn members_disappear_with_their_comma() {
        for (text, rest) in [
            (r#"{"secret":1}"#, "{}"),
            (r#"{"secret":1,"x":2}"#, r#"{"x":2}"#),
            (r#"{"x":2,"secret":1}"#, r#"{"x":2}"#),
            (r#"{"x":1,"secret":[1,{"y":"}"}],"z":3}"#, r#"{"x":1,"z":3}"#),
            (r#"{"secret":1,"secret":2}"#, "{}"),
            (r#"{"secret":1,"x":3,"secret":2}"#, r#"{"x":3}"#),
            (r#"[{"secret":"a,b"},{"SECRET":{}, "x" : [ ] }]"#, r#"[{},{"x" : [ ] }]"#),
            (r#"{ "a" : { "secret" : null } , "b.secret" : 1 }"#, r#"{ "a" : { } }"#),
            (r#"{"s\u0065cret":1,"a\/b":2,"x":"secret"}"#, r#"{"x":"secret"}"#),
            ("{\n  \"x\": 1,\n  \"secret\": 2\n}", "{\n  \"x\": 1}"),
            (r#"["secret",1]"#, r#"["secret",1]"#),
        ] {
            assert_eq!(redacted(text).as_deref(), Some(rest), "{text}");
        }
    }

    #[test]
    fn texts_and_names_change_and_all_else_keeps_its_bytes() {
        for (text, rest) in [
            (r#"{"x":"to ann@acme now","n":1.10e+5}"#, r#"{"x":"to mail now","n":1.10e+5}"#),
            (r#"{"ann@acme":18446744073709551616}"#, r#"{"mail":18446744073709551616}"#),
            (r#""ann\u0040acme""#, r#""mail""#),
            (r#"["\u00e4","a\"b@c"]"#, r#"["\u00e4","a\"mail"]"#),
            (r#"["\ud800 a@b","\ud800"]"#, "[\"\u{fffd}\u{fffd}\u{fffd} mail\",\"\\ud800\"]"),
            (r#"{"log":"{\"secret\":1,\"n\":1.0}"}"#, r#"{"log":"{\"n\":1.0}"}"#),
            (r#"{"log":"[\"{\\\"secret\\\":1}\"]"}"#, r#"{"log":"[\"{}\"]"}"#),
            (r#" { "x" : [1e400, -0, true] } "#, r#" { "x" : [1e400, -0, true] } "#),
        ] {
            assert_eq!(redacted(text).as_deref(), Some(rest), "{text}");
        }
    }

    #[test]
    fn card_numbers_that_are_numbers_become_texts() {
        let redaction = Redaction::new(&Rules { builtin: true, ..Rules::default() }).unwrap();
        for (text, rest) in [
            (r#"{"n":4111111111111111}"#, r#"{"n":"[redacted]"}"#),
            ("[1, 378282246310005 ]", r#"[1, "[redacted]" ]"#),
            (r#"{"log":"{\"n\":4111111111111111}"}"#, r#"{"log":"{\"n\":\"[redacted]\"}"}"#),
            ("[4111111111111112,4111111111111111.5,4111111111111111e1,-4111111111111111]", ""),
            ("[1790000000006,0.4111111111111111,41111111111111114111111111111111]", ""),
        ] {
            let rest = if rest.is_empty() { text } else { rest };
            assert_eq!(rewritten(&Pass::new(&redaction), text, 1).as_deref(), Some(rest), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_told_and_depth_is_no_danger() {
        for text in ["", "{", r#"{"secret":1"#, "{} {}", "<html>", r#"{"a":"\"}"#] {
            assert_eq!(redacted(text), None, "{text}");
        }
        let deep = format!("{}{}{}", r#"{"a":["#.repeat(5_000), r#"{"secret":1}"#, "]}".repeat(5_000));
        assert!(!redacted(&deep).unwrap().contains("secret"));
    }
}
