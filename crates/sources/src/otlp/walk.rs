//! The OTLP messages that all signals share, as slices of the request.

use watershed_schema::limits::{ATTRIBUTE_VALUE_BYTES_MAX, NESTING_MAX};
use watershed_schema::wire::{Fields, Malformed, Raw};

use super::Fault;

/// `ResourceX` and `ScopeX`: about whom, the members, the schema's address.
#[derive(Default)]
pub(super) struct Group<'a> {
    pub(super) about: &'a [u8],
    pub(super) members: Vec<&'a [u8]>,
    pub(super) schema_url: &'a [u8],
}

impl<'a> Group<'a> {
    pub(super) fn of(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut group = Self::default();
        let mut fields = Fields::new(message);
        while let Some((field, raw)) = fields.next_field()? {
            match (field, raw) {
                (1, Raw::Bytes(about)) => group.about = about,
                (2, Raw::Bytes(member)) => group.members.push(member),
                (3, Raw::Bytes(url)) => group.schema_url = url,
                _ => {}
            }
        }
        Ok(group)
    }
}

/// An OTLP `AnyValue`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum AnyValue<'a> {
    Empty,
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// Array, key-values or bytes, as the encoded `AnyValue`: no column takes them.
    Other(&'a [u8]),
}

/// An OTLP `KeyValue`, checked: UTF-8, size, depth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'a> {
    pub(super) raw: &'a [u8],
    pub(super) key: &'a str,
    pub(super) value: AnyValue<'a>,
}

impl<'a> Attribute<'a> {
    pub(super) fn of(raw: &'a [u8]) -> Result<Self, Fault> {
        match short(raw) {
            Some((key, value)) => Ok(Self { raw, key: text("attribute key", key)?, value: any_value(value, 0)? }),
            None => Self::of_any(raw),
        }
    }

    fn of_any(raw: &'a [u8]) -> Result<Self, Fault> {
        let (mut key, mut value) = ("", AnyValue::Empty);
        let mut fields = Fields::new(raw);
        while let Some((field, raw)) = fields.next_field().map_err(fault)? {
            match (field, raw) {
                (1, Raw::Bytes(bytes)) => key = text("attribute key", bytes)?,
                (2, Raw::Bytes(bytes)) => value = any_value(bytes, 0)?,
                (1 | 2, _) => return Err(wrong_type()),
                _ => {}
            }
        }
        Ok(Self { raw, key, value })
    }
}

/// Key and value as nearly every sender writes them: both there, in this order, below 128 bytes each.
#[inline]
fn short(raw: &[u8]) -> Option<(&[u8], &[u8])> {
    let [KEY, length @ ..0x80, rest @ ..] = raw else { return None };
    let (key, rest) = rest.split_at_checked(usize::from(*length))?;
    let [VALUE, length @ ..0x80, value @ ..] = rest else { return None };
    (value.len() == usize::from(*length)).then_some((key, value))
}

/// Tags of a `KeyValue`'s key and value, and of an `AnyValue`'s text: their field number, length-delimited.
const KEY: u8 = 1 << 3 | 2;
const VALUE: u8 = 2 << 3 | 2;
const TEXT: u8 = 1 << 3 | 2;

fn fault(malformed: Malformed) -> Fault {
    ("attributes", malformed.to_string())
}

/// Attributes are copied as they are: what no reader could decode must not get in.
fn wrong_type() -> Fault {
    ("attributes", "wire type does not fit the field".to_owned())
}

/// Text of a field.
#[inline]
pub(super) fn text<'a>(field: &'static str, bytes: &'a [u8]) -> Result<&'a str, Fault> {
    std::str::from_utf8(bytes).map_err(|_invalid| (field, "not UTF-8".to_owned()))
}

/// A value whose inside is checked down to the leaves.
pub(super) fn any_value(bytes: &[u8], depth: usize) -> Result<AnyValue<'_>, Fault> {
    if bytes.len() > ATTRIBUTE_VALUE_BYTES_MAX && depth == 0 {
        return Err(("attribute value", format!("{} bytes, limit {ATTRIBUTE_VALUE_BYTES_MAX}", bytes.len())));
    }
    if depth > NESTING_MAX {
        return Err(("attribute value", format!("nested deeper than {NESTING_MAX}")));
    }
    if let [TEXT, length @ ..0x80, short @ ..] = bytes
        && short.len() == usize::from(*length)
    {
        return text("attribute value", short).map(AnyValue::Text);
    }
    let mut value = AnyValue::Empty;
    let mut fields = Fields::new(bytes);
    while let Some((field, raw)) = fields.next_field().map_err(fault)? {
        value = match (field, raw) {
            (1, Raw::Bytes(bytes)) => AnyValue::Text(text("attribute value", bytes)?),
            (2, Raw::Varint(number)) => AnyValue::Bool(number != 0),
            (3, Raw::Varint(number)) => AnyValue::Int(number.cast_signed()),
            (4, Raw::Fixed64(bits)) => AnyValue::Double(f64::from_bits(bits)),
            (5, Raw::Bytes(list)) => {
                check_members(list, |member| any_value(member, depth + 1).map(drop))?;
                AnyValue::Other(bytes)
            }
            (6, Raw::Bytes(list)) => {
                check_members(list, |member| check_key_value(member, depth + 1))?;
                AnyValue::Other(bytes)
            }
            (7, Raw::Bytes(_)) => AnyValue::Other(bytes),
            (1..=7, _) => return Err(wrong_type()),
            _ => value,
        };
    }
    Ok(value)
}

fn check_members(list: &[u8], check: impl Fn(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut fields = Fields::new(list);
    while let Some((field, raw)) = fields.next_field().map_err(fault)? {
        match (field, raw) {
            (1, Raw::Bytes(member)) => check(member)?,
            (1, _) => return Err(wrong_type()),
            _ => {}
        }
    }
    Ok(())
}

fn check_key_value(member: &[u8], depth: usize) -> Result<(), Fault> {
    let mut fields = Fields::new(member);
    while let Some((field, raw)) = fields.next_field().map_err(fault)? {
        match (field, raw) {
            (1, Raw::Bytes(bytes)) => drop(text("attribute key", bytes)?),
            (2, Raw::Bytes(bytes)) => drop(any_value(bytes, depth)?),
            (1 | 2, _) => return Err(wrong_type()),
            _ => {}
        }
    }
    Ok(())
}
