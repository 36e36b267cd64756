//! A payload column as JSON text: what SQL sees.
//!
//! OTLP values keep their kind: integers exact, doubles with a point or exponent, bytes as `{"$bytes": base64}`,
//! doubles that JSON lacks as `{"$double": "NaN"}`. A key that stands twice stands twice.

use std::fmt::Write as _;

use base64::Engine as _;

use crate::limits::PAYLOAD_NESTING_MAX;
use crate::wire::{Fields, Malformed, Raw, text};

/// JSON text of an encoded [`crate::proto::Payload`].
///
/// # Errors
/// [`Malformed`] when the bytes are no payload or nested deeper than [`PAYLOAD_NESTING_MAX`].
pub fn to_json(payload: &[u8], out: &mut String) -> Result<(), Malformed> {
    let mut fields = Fields::new(payload);
    while let Some((field, raw)) = fields.next_field()? {
        match (field, raw) {
            (1, Raw::Bytes(json)) => out.push_str(text(json)?),
            (2, Raw::Bytes(list)) => key_values(list, out, 0)?,
            _ => {}
        }
    }
    Ok(())
}

fn key_values(list: &[u8], out: &mut String, depth: usize) -> Result<(), Malformed> {
    out.push('{');
    let mut fields = Fields::new(list);
    let mut first = true;
    while let Some((field, raw)) = fields.next_field()? {
        if let (1, Raw::Bytes(entry)) = (field, raw) {
            comma(&mut first, out);
            key_value(entry, out, depth)?;
        }
    }
    out.push('}');
    Ok(())
}

fn comma(first: &mut bool, out: &mut String) {
    if !std::mem::take(first) {
        out.push(',');
    }
}

fn key_value(entry: &[u8], out: &mut String, depth: usize) -> Result<(), Malformed> {
    let (mut key, mut value) = (&b""[..], &b""[..]);
    let mut fields = Fields::new(entry);
    while let Some((field, raw)) = fields.next_field()? {
        match (field, raw) {
            (1, Raw::Bytes(bytes)) => key = bytes,
            (2, Raw::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    quote(text(key)?, out);
    out.push(':');
    any_value(value, out, depth)
}

/// JSON text of an encoded OTLP `AnyValue`; no value is `null`.
///
/// # Errors
/// [`Malformed`] when the bytes are no such message.
pub fn any_value_to_json(value: &[u8], out: &mut String) -> Result<(), Malformed> {
    any_value(value, out, 0)
}

fn any_value(value: &[u8], out: &mut String, depth: usize) -> Result<(), Malformed> {
    if depth > PAYLOAD_NESTING_MAX {
        return Err(Malformed("nested too deep"));
    }
    let mut fields = Fields::new(value);
    let Some((field, raw)) = fields.next_field()? else {
        out.push_str("null");
        return Ok(());
    };
    match (field, raw) {
        (1, Raw::Bytes(bytes)) => quote(text(bytes)?, out),
        (2, Raw::Varint(number)) => out.push_str(if number == 0 { "false" } else { "true" }),
        (3, Raw::Varint(number)) => append(out, format_args!("{}", number.cast_signed())),
        (4, Raw::Fixed64(bits)) => double(f64::from_bits(bits), out),
        (5, Raw::Bytes(list)) => array(list, out, depth + 1)?,
        (6, Raw::Bytes(list)) => key_values(list, out, depth + 1)?,
        (7, Raw::Bytes(bytes)) => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
            append(out, format_args!("{{\"$bytes\":\"{encoded}\"}}"));
        }
        _ => out.push_str("null"),
    }
    Ok(())
}

fn array(list: &[u8], out: &mut String, depth: usize) -> Result<(), Malformed> {
    out.push('[');
    let mut fields = Fields::new(list);
    let mut first = true;
    while let Some((field, raw)) = fields.next_field()? {
        if let (1, Raw::Bytes(value)) = (field, raw) {
            comma(&mut first, out);
            any_value(value, out, depth)?;
        }
    }
    out.push(']');
    Ok(())
}

fn double(value: f64, out: &mut String) {
    if value.is_finite() {
        append(out, format_args!("{value:?}"));
    } else {
        append(out, format_args!("{{\"$double\":\"{value}\"}}"));
    }
}

fn append(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("invariant: a string takes everything");
}

/// Appends `text` as a JSON string.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    // Bytes that must be escaped are never part of another character; what lies between them is copied in one go.
    for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| matches!(byte, 0..0x20 | b'"' | b'\\')) {
        out.push_str(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            control => append(out, format_args!("\\u{control:04x}")),
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_texts_are_json_and_nothing_of_them_is_lost() {
        let all: String = (0..0x250).filter_map(char::from_u32).chain("\u{2028}\u{1f600}".chars()).collect();
        for text in ["", "plain", "\"", "a\\\"b\n", "ü\u{7f}\t\u{0}ä", &all] {
            let mut out = String::from("before");
            quote(text, &mut out);
            assert_eq!(serde_json::from_str::<String>(out.strip_prefix("before").unwrap()).unwrap(), text);
        }
    }
}
