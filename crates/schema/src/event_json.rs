//! An event as JSON, for streams and command lines: its set columns by name.
//!
//! Times are microseconds since the epoch, bytes are hexadecimal, payloads are the JSON that they hold. A whole number that
//! JavaScript cannot hold exactly (`timestamp_ns`) is a string, as in protobuf's JSON.

use std::fmt::Write as _;
use std::sync::LazyLock;

use crate::payload::{quote, to_json};
use crate::wire::Malformed;
use crate::{Column, Projection, Row, Value};

/// Largest whole number that a double holds with all below it.
const EXACT_MAX: u64 = (1 << 53) - 1;

static ALL: LazyLock<Projection> = LazyLock::new(|| Projection::new(Column::ALL));

/// Appends the members of an event's object, without its braces, in the order of the columns.
///
/// # Errors
/// [`Malformed`] when the row is not what the writer wrote.
pub fn members(row: &Row<'_>, out: &mut String) -> Result<(), Malformed> {
    let mut values = Vec::new();
    row.project(&ALL, &mut values)?;
    let set = Column::ALL.iter().zip(values).filter_map(|(column, value)| Some((column, value?)));
    for (place, (column, value)) in set.enumerate() {
        if place > 0 {
            out.push(',');
        }
        quote(column.name(), out);
        out.push(':');
        self::value(value, out)?;
    }
    Ok(())
}

fn value(value: Value<'_>, out: &mut String) -> Result<(), Malformed> {
    let written = match value {
        Value::Text(text) => {
            quote(text, out);
            Ok(())
        }
        Value::Int(number) if number.unsigned_abs() > EXACT_MAX => write!(out, "\"{number}\""),
        Value::Int(number) => write!(out, "{number}"),
        Value::Float(number) if number.is_finite() => write!(out, "{number:?}"),
        Value::Float(number) => write!(out, "\"{number}\""),
        Value::Bool(truth) => write!(out, "{truth}"),
        Value::Bytes(bytes) => hex(bytes, out),
        Value::Payload(bytes) => return to_json(bytes, out),
    };
    written.expect("invariant: a String takes every write");
    Ok(())
}

fn hex(bytes: &[u8], out: &mut String) -> std::fmt::Result {
    out.push('"');
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
    out.push('"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto;

    fn json(event: &proto::Event) -> serde_json::Value {
        let bytes = prost::Message::encode_to_vec(event);
        let mut text = String::from("{");
        members(&Row { shared: None, own: &bytes }, &mut text).unwrap();
        text.push('}');
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn every_kind_of_value_is_what_a_browser_can_read() {
        let event = proto::Event {
            event_name: Some("a \"b\"\n".into()),
            timestamp: Some(1_700_000_000_000_001),
            timestamp_ns: Some(1_700_000_000_000_001_002),
            duration_ms: Some(2.0),
            ..proto::Event::default()
        };
        let expected = serde_json::json!({
            "event_name": "a \"b\"\n", "timestamp": 1_700_000_000_000_001_i64, "timestamp_ns": "1700000000000001002",
            "duration_ms": 2.0,
        });
        assert_eq!(json(&event), expected);
        assert_eq!(json(&proto::Event { duration_ms: Some(f64::NAN), ..proto::Event::default() })["duration_ms"], "NaN");
        assert_eq!(json(&proto::Event::default()), serde_json::json!({}));
    }
}
