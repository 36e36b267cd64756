//! A payload column as JSON text: what SQL sees.
//!
//! OTLP values keep their kind: integers exact, doubles with a point or exponent, bytes as `{"$bytes": base64}`,
//! doubles that JSON lacks as `{"$double": "NaN"}`. A key that stands twice stands twice.

mod renderer;

use std::io::Write as _;

use base64::Engine as _;

use crate::limits::PAYLOAD_NESTING_MAX;
use crate::wire::{Fields, Malformed, Raw};

pub(crate) use renderer::Renderer;

/// JSON text of an encoded [`crate::proto::Payload`].
///
/// # Errors
/// [`Malformed`] when the bytes are no payload or nested deeper than [`PAYLOAD_NESTING_MAX`].
pub fn to_json(payload: &[u8], out: &mut String) -> Result<(), Malformed> {
    as_text(out, |out| {
        let mut fields = Fields::new(payload);
        while let Some((field, raw)) = fields.next_field()? {
            match (field, raw) {
                (1, Raw::Bytes(json)) => out.extend_from_slice(json),
                (2, Raw::Bytes(list)) => key_values(list, out, 0)?,
                _ => {}
            }
        }
        Ok(())
    })
}

/// Looks once whether all that was written is UTF-8, not at each of its texts: between two of them is a quote, so no two
/// broken ones can make a whole one.
fn as_text(out: &mut String, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Malformed>) -> Result<(), Malformed> {
    // What stood there before is not looked at again.
    let mut bytes = if out.is_empty() { std::mem::take(out).into_bytes() } else { Vec::new() };
    write(&mut bytes)?;
    let written = String::from_utf8(bytes).map_err(|_invalid| Malformed("text is not UTF-8"))?;
    if out.is_empty() {
        *out = written;
    } else {
        out.push_str(&written);
    }
    Ok(())
}

fn key_values(list: &[u8], out: &mut Vec<u8>, depth: usize) -> Result<(), Malformed> {
    out.push(b'{');
    let mut fields = Fields::new(list);
    let mut first = true;
    while let Some((field, raw)) = fields.next_field()? {
        if let (1, Raw::Bytes(entry)) = (field, raw) {
            comma(&mut first, out);
            key_value(entry, out, depth)?;
        }
    }
    out.push(b'}');
    Ok(())
}

fn comma(first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::take(first) {
        out.push(b',');
    }
}

fn key_value(entry: &[u8], out: &mut Vec<u8>, depth: usize) -> Result<(), Malformed> {
    let (mut key, mut value) = (&b""[..], &b""[..]);
    let mut fields = Fields::new(entry);
    while let Some((field, raw)) = fields.next_field()? {
        match (field, raw) {
            (1, Raw::Bytes(bytes)) => key = bytes,
            (2, Raw::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    quote_bytes(key, out);
    out.push(b':');
    any_value(value, out, depth)
}

/// JSON text of an encoded OTLP `AnyValue`; no value is `null`.
///
/// # Errors
/// [`Malformed`] when the bytes are no such message.
pub fn any_value_to_json(value: &[u8], out: &mut String) -> Result<(), Malformed> {
    as_text(out, |out| any_value(value, out, 0))
}

fn any_value(value: &[u8], out: &mut Vec<u8>, depth: usize) -> Result<(), Malformed> {
    if depth > PAYLOAD_NESTING_MAX {
        return Err(Malformed("nested too deep"));
    }
    let mut fields = Fields::new(value);
    let Some((field, raw)) = fields.next_field()? else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    match (field, raw) {
        (1, Raw::Bytes(bytes)) => quote_bytes(bytes, out),
        (2, Raw::Varint(number)) => out.extend_from_slice(if number == 0 { b"false" } else { b"true" }),
        (3, Raw::Varint(number)) => out.extend_from_slice(itoa::Buffer::new().format(number.cast_signed()).as_bytes()),
        (4, Raw::Fixed64(bits)) => double(f64::from_bits(bits), out),
        (5, Raw::Bytes(list)) => array(list, out, depth + 1)?,
        (6, Raw::Bytes(list)) => key_values(list, out, depth + 1)?,
        (7, Raw::Bytes(bytes)) => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
            append(out, format_args!("{{\"$bytes\":\"{encoded}\"}}"));
        }
        _ => out.extend_from_slice(b"null"),
    }
    Ok(())
}

fn array(list: &[u8], out: &mut Vec<u8>, depth: usize) -> Result<(), Malformed> {
    out.push(b'[');
    let mut fields = Fields::new(list);
    let mut first = true;
    while let Some((field, raw)) = fields.next_field()? {
        if let (1, Raw::Bytes(value)) = (field, raw) {
            comma(&mut first, out);
            any_value(value, out, depth)?;
        }
    }
    out.push(b']');
    Ok(())
}

fn double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        append(out, format_args!("{value:?}"));
    } else {
        append(out, format_args!("{{\"$double\":\"{value}\"}}"));
    }
}

fn append(out: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("invariant: a buffer takes everything");
}

/// Appends `text` as a JSON string.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    if is_plain(text.as_bytes()) {
        out.push_str(text);
    } else {
        let mut escaped = Vec::with_capacity(2 * text.len());
        escape(text.as_bytes(), &mut escaped);
        out.push_str(&String::from_utf8(escaped).expect("invariant: what stands between escapes is whole"));
    }
    out.push('"');
}

fn quote_bytes(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    if is_plain(text) {
        out.extend_from_slice(text);
    } else {
        escape(text, out);
    }
    out.push(b'"');
}

/// Nearly all texts are; without a way out of it, the loop looks at many bytes at once.
fn is_plain(text: &[u8]) -> bool {
    !text.iter().fold(false, |found, byte| found | is_escaped(*byte))
}

/// Bytes that must be escaped are never part of another character; what lies between them is copied in one go.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut plain = 0;
    for (at, byte) in text.iter().copied().enumerate().filter(|(_, byte)| is_escaped(*byte)) {
        out.extend_from_slice(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            control => append(out, format_args!("\\u{control:04x}")),
        }
    }
    out.extend_from_slice(&text[plain..]);
}

fn is_escaped(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::put_bytes;

    #[test]
    fn quoted_texts_are_json_and_nothing_of_them_is_lost() {
        let all: String = (0..0x250).filter_map(char::from_u32).chain("\u{2028}\u{1f600}".chars()).collect();
        for text in ["", "plain", "\"", "a\\\"b\n", "ü\u{7f}\t\u{0}ä", &all] {
            let mut out = String::from("before");
            quote(text, &mut out);
            assert_eq!(serde_json::from_str::<String>(out.strip_prefix("before").unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn a_text_that_is_none_is_refused_wherever_it_stands() {
        let list = |key: &[u8], value: &[u8]| {
            let (mut any, mut entry, mut list, mut payload) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            put_bytes(&mut any, 1, value);
            put_bytes(&mut entry, 1, key);
            put_bytes(&mut entry, 2, &any);
            put_bytes(&mut list, 1, &entry);
            put_bytes(&mut payload, 2, &list);
            payload
        };
        for before in ["", "before"] {
            let json = |payload: &[u8]| {
                let mut out = before.to_owned();
                to_json(payload, &mut out).map(|()| out)
            };
            assert_eq!(json(&list("ü".as_bytes(), b"x\"y")), Ok(format!(r#"{before}{{"ü":"x\"y"}}"#)));
            // The two halves of a letter, one in each text.
            for (key, value) in [(&b"\xc3"[..], &b"\xbc"[..]), (b"k", b"\xff"), (b"\xbc", b"v")] {
                assert!(json(&list(key, value)).is_err(), "{key:?} {value:?}");
            }
        }
    }
}
