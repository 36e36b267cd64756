//! One level of a JSON object, and what its members must be.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Members, time};
use crate::Fault;
use crate::system::storable;

/// Members in order, values as they were sent. A member that is `null` counts as absent; of equal names the last counts,
/// as in `JSON.parse`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// The object in `raw`, if it is one.
    pub(crate) fn of(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().rev().find(|(own, _)| own == name).map(|(_, value)| *value);
        found.filter(|value| value.get() != "null")
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// Names and values, `null` too.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// The members with a name that `is_known`, each once: of equal names the last counts.
    pub(crate) fn only(&self, is_known: impl Fn(&str) -> bool) -> Self {
        let mut seen = BTreeSet::new();
        let known = self.0.iter().rev().filter(|(name, _)| is_known(name));
        let mut last: Vec<_> = known.filter(|(name, _)| seen.insert(name.as_ref())).cloned().collect();
        last.reverse();
        Self(last)
    }

    /// The members that are none of `known`, as an object under construction.
    pub(crate) fn rest(&self, known: &[&str]) -> Members {
        let mut rest = Members::default();
        for (name, value) in self.members().filter(|(name, _)| !known.contains(name)) {
            rest.raw(name, value.get());
        }
        rest
    }

    /// A member that must be there.
    pub(crate) fn required<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Self, &'static str) -> Result<Option<T>, Fault>,
    ) -> Result<T, Fault> {
        read(self, name)?.ok_or_else(|| missing(name))
    }

    /// A text.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<Cow<'a, str>>, Fault> {
        self.read(name, "a text", text)
    }

    /// A text, or a number as its text: what ids are.
    pub(crate) fn word(&self, name: &'static str) -> Result<Option<Cow<'a, str>>, Fault> {
        self.read(name, "a text or a number", |raw| {
            let number = |raw: &'a str| raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then_some(raw);
            text(raw).or_else(|| number(raw).map(Cow::Borrowed))
        })
    }

    /// A whole number of 64 bits.
    pub(crate) fn int(&self, name: &'static str) -> Result<Option<i64>, Fault> {
        self.read(name, "a whole number of 64 bits", whole)
    }

    /// A number.
    pub(crate) fn float(&self, name: &'static str) -> Result<Option<f64>, Fault> {
        self.read(name, "a number of 64 bits", |raw| serde_json::from_str(raw).ok())
    }

    /// `true` or `false`.
    pub(crate) fn bool(&self, name: &'static str) -> Result<Option<bool>, Fault> {
        self.read(name, "true or false", |raw| raw.parse().ok())
    }

    /// A time as ISO 8601 text or as milliseconds since 1970; the answer is in microseconds.
    pub(crate) fn time(&self, name: &'static str) -> Result<Option<i64>, Fault> {
        let time = self.read(name, "a time in ISO 8601 or milliseconds since 1970", |raw| match text(raw) {
            Some(text) => time::iso(&text),
            None => serde_json::from_str(raw).ok().map(time::millis),
        })?;
        time.map(|us| storable(name, us)).transpose()
    }

    /// An object.
    pub(crate) fn object(&self, name: &'static str) -> Result<Option<Object<'a>>, Fault> {
        self.read(name, "an object", |raw| serde_json::from_str(raw).ok())
    }

    /// An array.
    pub(crate) fn list(&self, name: &'static str) -> Result<Option<Vec<&'a RawValue>>, Fault> {
        self.read(name, "an array", |raw| serde_json::from_str(raw).ok())
    }

    fn read<T>(&self, name: &'static str, wanted: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Result<Option<T>, Fault> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        read(raw.get()).map(Some).ok_or_else(|| (name, format!("must be {wanted}, is {}", excerpt(raw.get()))))
    }
}

/// A member that must be there is not.
pub(crate) fn missing(field: &'static str) -> Fault {
    (field, "is missing".to_owned())
}

/// For members that a sender may fill as he likes: what does not fit is no value.
pub(crate) trait Loose<T> {
    fn or_absent(self) -> Option<T>;
}

impl<T> Loose<T> for Result<Option<T>, Fault> {
    fn or_absent(self) -> Option<T> {
        self.ok().flatten()
    }
}

fn text(raw: &str) -> Option<Cow<'_, str>> {
    match serde_json::from_str::<&str>(raw) {
        Ok(plain) => Some(Cow::Borrowed(plain)),
        Err(_escaped) => serde_json::from_str(raw).ok().map(Cow::Owned),
    }
}

/// `3` and `3.0`, not `3.5`; JavaScript has one kind of number only.
fn whole(raw: &str) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let from_float = |number: f64| (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number);
    let parsed = raw.parse().ok();
    #[expect(clippy::cast_possible_truncation, reason = "a whole number up to 2^53")]
    parsed.or_else(|| from_float(serde_json::from_str(raw).ok()?).map(|number| number as i64))
}

fn excerpt(raw: &str) -> String {
    const TOLD_CHARS: usize = 40;
    let told: String = raw.chars().take(TOLD_CHARS).collect();
    if told.len() < raw.len() { format!("{told}…") } else { told }
}

/// Without escapes a name stays where it is.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Level)
    }
}

struct Level;

impl<'de> Visitor<'de> for Level {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        Ok(Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = r#"{"t":"x","e":"a\nb","n":7,"f":7.0,"h":7.5,"huge":1e400,"big":9223372036854775807,"no":null,"b":false,"z":0,
        "o":{"k":1.10},"l":[1, 2],"twice":1,"twice":2,"\u006bey":3}"#;

    fn sent() -> Object<'static> {
        serde_json::from_str(SENT).unwrap()
    }

    #[test]
    fn members_are_what_they_must_be_or_a_fault_names_them() {
        let object = sent();
        assert_eq!(object.text("t").unwrap().unwrap(), "x");
        assert_eq!(object.text("e").unwrap().unwrap(), "a\nb");
        assert_eq!(object.word("n").unwrap().unwrap(), "7");
        assert_eq!((object.int("n"), object.int("f"), object.int("z")), (Ok(Some(7)), Ok(Some(7)), Ok(Some(0))));
        assert_eq!(object.int("big"), Ok(Some(i64::MAX)));
        assert_eq!((object.bool("b"), object.float("h")), (Ok(Some(false)), Ok(Some(7.5))));
        assert_eq!((object.int("no"), object.int("missing")), (Ok(None), Ok(None)));
        assert_eq!((object.int("twice"), object.int("key")), (Ok(Some(2)), Ok(Some(3))));
        for (fault, reason) in [
            (object.text("n").unwrap_err(), "must be a text, is 7"),
            (object.int("h").unwrap_err(), "must be a whole number of 64 bits, is 7.5"),
            (object.float("huge").unwrap_err(), "must be a number of 64 bits, is 1e400"),
            (object.object("l").map(drop).unwrap_err(), "must be an object, is [1, 2]"),
        ] {
            assert_eq!(fault.1, reason);
        }
        assert_eq!(object.int("h").or_absent(), None);
    }

    #[test]
    fn the_rest_is_what_nobody_named() {
        let object: Object<'_> = serde_json::from_str(r#"{"t":"e","other":1.10,"none":null}"#).unwrap();
        assert_eq!(object.rest(&["t"]).finish().unwrap(), r#"{"other":1.10,"none":null}"#);
        assert_eq!(object.required("absent", Object::text).unwrap_err(), ("absent", "is missing".to_owned()));
    }

    #[test]
    fn values_keep_their_bytes() {
        let object = sent();
        assert_eq!(object.raw("o").unwrap().get(), r#"{"k":1.10}"#);
        assert_eq!(object.list("l").unwrap().unwrap()[1].get(), "2");
        assert_eq!(object.object("o").unwrap().unwrap().raw("k").unwrap().get(), "1.10");
    }
}
