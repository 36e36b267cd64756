//! JSON requests, read one level at a time: what a transformer does not look into keeps its bytes.

mod object;
mod text;
mod time;

use std::borrow::Cow;

use serde_json::value::RawValue;
use watershed_schema::limits::{BATCH_ROWS_MAX, JSON_NESTING_MAX};
use watershed_schema::{BatchError, EventType};

use crate::rows::{Row, Rows};
use crate::{Context, Fault, InvalidRequest, Transformed};
pub(crate) use object::{Loose, Object, missing};
pub(crate) use text::{Members, mended, quoted, with_member};
pub(crate) use time::{iso_of as iso, millis};

/// A request of records that all become one type of event: an object, an array of objects, or one object a line.
///
/// # Errors
/// [`InvalidRequest`] when the request is not JSON, nested too deep, or holds more records than a batch may.
pub(crate) fn transform(
    source: &'static str,
    kind: EventType,
    request: &[u8],
    context: &Context,
    write: impl Fn(&Object<'_>, &mut Row<'_, '_>) -> Result<(), Fault>,
) -> Result<Transformed, InvalidRequest> {
    let mut rows = Rows::new(source, request, context);
    let text = checked(request)?;
    for record in records(&text)? {
        rows.record(record, |record, rows| rows.add(kind, |row| write(record, row)));
    }
    rows.finish()
}

/// The request as text that is not nested too deep and has no half of a character; whether it is JSON shows when it is read.
pub(crate) fn checked(request: &[u8]) -> Result<Cow<'_, str>, InvalidRequest> {
    let text = std::str::from_utf8(request).map_err(|error| InvalidRequest::Undecodable(format!("JSON: {error}")))?;
    let depth = depth(text);
    if depth > JSON_NESTING_MAX {
        return Err(InvalidRequest::Undecodable(format!("JSON: nested {depth} deep, limit {JSON_NESTING_MAX}")));
    }
    Ok(mended(text))
}

/// The records of a request, whichever of the three forms it has.
pub(crate) fn records(text: &str) -> Result<Vec<&RawValue>, InvalidRequest> {
    let undecodable = |error: serde_json::Error| InvalidRequest::Undecodable(format!("JSON: {error}"));
    let mut records: Vec<&RawValue> = Vec::new();
    if text.trim_start().starts_with('[') {
        records = serde_json::from_str(text).map_err(undecodable)?;
    } else {
        for value in serde_json::Deserializer::from_str(text).into_iter() {
            records.push(value.map_err(undecodable)?);
        }
    }
    if records.len() > BATCH_ROWS_MAX {
        return Err(BatchError::TooManyRows(records.len()).into());
    }
    Ok(records)
}

/// How deep arrays and objects stand in each other.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// How many objects a text has.
pub(crate) fn objects(text: &str) -> usize {
    let (mut objects, mut bytes) = (0, text.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'{' => objects += 1,
            _ => {}
        }
    }
    objects
}

fn skip_string(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms_of_a_request_hold_the_same_records() {
        let texts = |request| records(request).unwrap().into_iter().map(RawValue::get).collect::<Vec<_>>();
        for request in [r#"[{"a":1},{"b":[2]}]"#, "{\"a\":1}\n{\"b\":[2]}\n", r#" [ {"a":1} , {"b":[2]} ] "#] {
            assert_eq!(texts(request), [r#"{"a":1}"#, r#"{"b":[2]}"#]);
        }
        assert!(texts("").is_empty() && texts("[]").is_empty() && texts(" \n ").is_empty());
    }

    #[test]
    fn what_is_cut_or_no_text_is_refused_whole_and_says_where() {
        let refused = |request: &[u8]| checked(request).and_then(|text| records(&text).map(drop)).unwrap_err().to_string();
        assert!(refused(b"[{\"a\":1},{\"b\":").contains("line 1 column 14"));
        assert!(refused(b"{\"a\":1}\n{\"b\"").contains("line 2"));
        assert!(refused(b"{\"a\":\"\xff\"}").contains("index 6"));
    }

    #[test]
    fn depth_is_that_of_brackets_outside_texts() {
        assert_eq!(objects(r#"{"a{":["{\"{",{}]}"#), 2);
        assert_eq!((depth(r#"{"a":["[[[\"[["]}"#), depth("[[],[[]]]"), depth("7")), (2, 3, 0));
        let deep = "[".repeat(JSON_NESTING_MAX + 1);
        assert!(checked(deep.as_bytes()).unwrap_err().to_string().contains("limit"));
        assert!(checked(&deep.as_bytes()[1..]).is_ok());
    }
}
