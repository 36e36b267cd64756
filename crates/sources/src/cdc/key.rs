//! Primary keys as text.

use serde_json::value::RawValue;

use crate::json::{Members, Object};

/// Names and values of a key; one is its value, several are a JSON object with sorted names.
pub(super) fn of_members(mut members: Vec<(&str, &RawValue)>) -> Option<String> {
    members.sort_by_key(|(name, _)| *name);
    match members[..] {
        [] => None,
        [(_, only)] => Some(scalar(only)),
        _ => {
            let mut all = Members::default();
            members.iter().for_each(|(name, value)| all.raw(name, value.get()));
            all.finish()
        }
    }
}

/// A key that stands for itself, or an object of its members.
pub(super) fn of_raw(raw: &RawValue) -> Option<String> {
    match Object::of(raw) {
        Some(object) => of_members(object.members().collect()),
        None => Some(scalar(raw)),
    }
}

/// A text without its quotes, anything else as its JSON.
fn scalar(raw: &RawValue) -> String {
    serde_json::from_str(raw.get()).unwrap_or_else(|_no_text| raw.get().to_owned())
}
