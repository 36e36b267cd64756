//! `json_get(json, path)` and `json_number(json, path)`: one value of a JSON text, found without building the rest.
//!
//! A path is keys joined by dots; a place in an array is its number. Keys may hold dots themselves (`http.method`): the
//! longest key that the path begins with counts.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Builder, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

pub(super) fn text() -> ScalarUDF {
    JsonGet::new("json_get", DataType::Utf8).into()
}

pub(super) fn number() -> ScalarUDF {
    JsonGet::new("json_number", DataType::Float64).into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonGet {
    name: &'static str,
    returns: DataType,
    signature: Signature,
}

impl JsonGet {
    fn new(name: &'static str, returns: DataType) -> Self {
        Self { name, returns, signature: Signature::exact(vec![DataType::Utf8, DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for JsonGet {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [json, path] = &ColumnarValue::values_to_arrays(&args.args)?[..] else {
            return exec_err!("{} takes a JSON text and a path", self.name);
        };
        let (json, path) = (json.as_string::<i32>(), path.as_string::<i32>());
        let values: ArrayRef = match self.returns {
            DataType::Float64 => numbers(json, path),
            _ => texts(json, path),
        };
        Ok(ColumnarValue::Array(values))
    }
}

fn texts(json: &StringArray, path: &StringArray) -> ArrayRef {
    let mut out = StringBuilder::with_capacity(json.len(), json.len() * 8);
    for pair in json.iter().zip(path) {
        match found(pair) {
            Some(raw) => out.append_option(as_text(raw)),
            None => out.append_null(),
        }
    }
    Arc::new(out.finish())
}

fn numbers(json: &StringArray, path: &StringArray) -> ArrayRef {
    let mut out = Float64Builder::with_capacity(json.len());
    for pair in json.iter().zip(path) {
        out.append_option(found(pair).and_then(as_number));
    }
    Arc::new(out.finish())
}

fn found<'j>((json, path): (Option<&'j str>, Option<&str>)) -> Option<&'j str> {
    let mut reader = serde_json::Deserializer::from_str(json?);
    Find(path?).deserialize(&mut reader).ok().flatten()
}

/// Texts without their quotes; numbers digit by digit as they were sent; objects and arrays as JSON.
fn as_text(raw: &str) -> Option<std::borrow::Cow<'_, str>> {
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Some(plain.into()),
        Some(_) => serde_json::from_str::<String>(raw).ok().map(Into::into),
        None => (raw != "null").then(|| raw.into()),
    }
}

fn as_number(raw: &str) -> Option<f64> {
    let is_number = raw.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    is_number.then(|| raw.parse::<f64>().ok()).flatten().filter(|value| value.is_finite())
}

/// Looks for a path that is not empty in the value that comes next.
struct Find<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<&'de str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut longest, mut found) = (0, None);
        while let Some(fits) = map.next_key_seed(Key(self.0))? {
            match fits {
                Fits::Not => drop(map.next_value::<IgnoredAny>()?),
                Fits::Whole => {
                    (longest, found) = (self.0.len(), Some(map.next_value::<&RawValue>()?.get()));
                }
                Fits::Part(length) => {
                    let inside = map.next_value_seed(Find(&self.0[length + 1..]))?;
                    if inside.is_some() && length >= longest {
                        (longest, found) = (length, inside);
                    }
                }
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        let (place, rest) = self.0.split_once('.').map_or((self.0, None), |(place, rest)| (place, Some(rest)));
        let (wanted, mut found) = (place.parse::<usize>().ok(), None);
        for index in 0.. {
            let more = match rest {
                _ if Some(index) != wanted => values.next_element::<IgnoredAny>()?.map(drop),
                None => values.next_element::<&RawValue>()?.map(|raw| found = Some(raw.get())),
                Some(rest) => values.next_element_seed(Find(rest))?.map(|inside| found = inside),
            };
            if more.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// How a key and a path go together.
enum Fits {
    Not,
    Whole,
    /// The path goes on behind so many bytes and a dot.
    Part(usize),
}

struct Key<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Fits;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Fits, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Fits;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Fits, E> {
        Ok(match self.0.strip_prefix(key) {
            Some("") => Fits::Whole,
            Some(rest) if rest.starts_with('.') => Fits::Part(key.len()),
            _ => Fits::Not,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(json: &str, path: &str) -> Option<String> {
        found((Some(json), Some(path))).and_then(as_text).map(std::borrow::Cow::into_owned)
    }

    #[test]
    fn values_are_found_and_numbers_stay_exact() {
        let json = r#"{"a":{"b":[1,{"c":"x\ny"}],"n":null},"big":12345678901234567890.10,"t":true,"e":"caf\u00e9"}"#;
        let cases = [
            ("a.b.0", Some("1")),
            ("a.b.1.c", Some("x\ny")),
            ("a.b.1", Some(r#"{"c":"x\ny"}"#)),
            ("a.b.2", None),
            ("a.b.x", None),
            ("a.n", None),
            ("big", Some("12345678901234567890.10")),
            ("t", Some("true")),
            ("e", Some("café")),
            ("t.x", None),
            ("missing", None),
            ("", None),
        ];
        for (path, value) in cases {
            assert_eq!(get(json, path).as_deref(), value, "{path}");
        }
    }

    #[test]
    fn keys_with_dots_are_found_and_the_longest_counts() {
        let json = r#"{"http":{"method":"inner","status":7},"http.method":"GET","http.status":{"x":1}}"#;
        assert_eq!(get(json, "http.method").as_deref(), Some("GET"));
        assert_eq!(get(json, "http.status").as_deref(), Some(r#"{"x":1}"#));
        assert_eq!(get(json, "http.status.x").as_deref(), Some("1"));
        assert_eq!(get(r#"{"a.b":{"z":1},"a":{"b":{"c":2}}}"#, "a.b.c").as_deref(), Some("2"), "what is not there is no match");
        assert_eq!(get(r#"{"a":1,"a":2}"#, "a").as_deref(), Some("2"), "the last of equal keys, as everywhere");
    }

    #[test]
    fn what_is_no_json_has_no_values() {
        for json in ["", "{", "nonsense", "{\"a\":1", "[1,2"] {
            assert_eq!(get(json, "a"), None, "{json}");
        }
    }

    #[test]
    fn only_numbers_are_numbers() {
        let number = |json: &str| found((Some(json), Some("a"))).and_then(as_number);
        assert_eq!((number(r#"{"a":-1.5e3}"#), number(r#"{"a":"12"}"#)), (Some(-1500.0), None));
        assert_eq!((number(r#"{"a":true}"#), number(r#"{"a":1e999}"#), number(r#"{"a":null}"#)), (None, None, None));
    }
}
