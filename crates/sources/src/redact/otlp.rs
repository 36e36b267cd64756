//! OTLP key-values under redaction. Shapes: `KeyValue` and `AnyValue` of
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/common/v1/common.proto>.

use std::borrow::Cow;

use watershed_schema::limits::NESTING_MAX;
use watershed_schema::wire::{self, Fields, Malformed, Raw, text};

use super::text::Pass;

/// May hold what must not stay: the column disappears.
const UNREADABLE: Malformed = Malformed("text is cut JSON");

type Part<'a> = Result<Cow<'a, [u8]>, Malformed>;

/// The encoded members of a `KeyValueList` that stay.
pub(super) fn members<'a>(pass: &Pass<'_>, list: &'a [u8]) -> Result<Vec<Cow<'a, [u8]>>, Malformed> {
    members_at(pass, list, 0)
}

fn members_at<'a>(pass: &Pass<'_>, list: &'a [u8], depth: usize) -> Result<Vec<Cow<'a, [u8]>>, Malformed> {
    let mut kept = Vec::new();
    let mut fields = Fields::new(list);
    while let Some((field, raw)) = fields.next_field()? {
        if let (1, Raw::Bytes(entry)) = (field, raw) {
            kept.extend(key_value(pass, entry, depth)?);
        }
    }
    Ok(kept)
}

/// `None`: its key is one of those that disappear.
fn key_value<'a>(pass: &Pass<'_>, entry: &'a [u8], depth: usize) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
    if !pass.suspects(entry) {
        return Ok(Some(Cow::Borrowed(entry)));
    }
    if pass.rules.names.drops(key_of(entry)?) {
        pass.change();
        return Ok(None);
    }
    let kept = fields_of(entry, |field, raw, out| {
        match (field, raw) {
            (1, Raw::Bytes(key)) => wire::put_bytes(out, 1, pass.text(text(key)?, 0).as_bytes()),
            (2, Raw::Bytes(value)) => wire::put_bytes(out, 2, &any_value(pass, value, depth)?),
            _ => wire::put_raw(out, field, raw),
        }
        Ok(())
    });
    kept.map(Some)
}

fn key_of(entry: &[u8]) -> Result<&str, Malformed> {
    let mut key = "";
    let mut fields = Fields::new(entry);
    while let Some((field, raw)) = fields.next_field()? {
        if let (1, Raw::Bytes(bytes)) = (field, raw) {
            key = text(bytes)?;
        }
    }
    Ok(key)
}

fn any_value<'a>(pass: &Pass<'_>, value: &'a [u8], depth: usize) -> Part<'a> {
    if depth > 2 * NESTING_MAX {
        return Err(Malformed("nested too deep"));
    }
    fields_of(value, |field, raw, out| {
        match (field, raw) {
            (1, Raw::Bytes(bytes)) => wire::put_bytes(out, 1, pass.text(text(bytes)?, 0).as_bytes()),
            (5, Raw::Bytes(list)) => wire::put_bytes(out, 5, &array(pass, list, depth + 1)?),
            (6, Raw::Bytes(list)) => wire::put_bytes(out, 6, &joined(&members_at(pass, list, depth + 1)?)),
            (7, Raw::Bytes(bytes)) => wire::put_bytes(out, 7, &pass.bytes(bytes).ok_or(UNREADABLE)?),
            _ => wire::put_raw(out, field, raw),
        }
        Ok(())
    })
}

fn array<'a>(pass: &Pass<'_>, list: &'a [u8], depth: usize) -> Part<'a> {
    fields_of(list, |field, raw, out| {
        match (field, raw) {
            (1, Raw::Bytes(value)) => wire::put_bytes(out, 1, &any_value(pass, value, depth)?),
            _ => wire::put_raw(out, field, raw),
        }
        Ok(())
    })
}

fn joined(members: &[Cow<'_, [u8]>]) -> Vec<u8> {
    let mut out = Vec::new();
    members.iter().for_each(|member| wire::put_bytes(&mut out, 1, member));
    out
}

/// A message written anew, field by field.
fn fields_of<'a>(message: &'a [u8], mut write: impl FnMut(u32, Raw<'a>, &mut Vec<u8>) -> Result<(), Malformed>) -> Part<'a> {
    let mut out = Vec::with_capacity(message.len());
    let mut fields = Fields::new(message);
    while let Some((field, raw)) = fields.next_field()? {
        write(field, raw, &mut out)?;
    }
    Ok(Cow::Owned(out))
}
