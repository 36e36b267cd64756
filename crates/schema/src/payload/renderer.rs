//! Payloads one after the other: what one has in common with the one before is not written anew.

use std::ops::Range;

use super::{comma, key_value};
use crate::wire::{Fields, Malformed, Raw};

/// JSON of payloads. Those of rows beside each other are often equal (what a request says once, each of its rows has) or
/// differ in a few entries (spans of one trace).
#[derive(Debug, Default)]
pub(crate) struct Renderer {
    last: Rendered,
    next: Rendered,
}

#[derive(Debug, Default)]
struct Rendered {
    payload: Vec<u8>,
    json: String,
    entries: Vec<Entry>,
}

/// Where a key and its value stand.
#[derive(Debug)]
struct Entry {
    payload: Range<usize>,
    json: Range<usize>,
}

impl Renderer {
    /// JSON text of an encoded [`crate::proto::Payload`], as [`super::to_json`] writes it.
    ///
    /// # Errors
    /// [`Malformed`] as there.
    pub(crate) fn json(&mut self, payload: &[u8]) -> Result<&str, Malformed> {
        if self.last.payload != payload {
            self.next.render(payload, &self.last)?;
            std::mem::swap(&mut self.last, &mut self.next);
        }
        Ok(&self.last.json)
    }
}

impl Rendered {
    fn render(&mut self, payload: &[u8], before: &Self) -> Result<(), Malformed> {
        let mut json = std::mem::take(&mut self.json).into_bytes();
        json.clear();
        self.payload.clear();
        self.entries.clear();
        self.write(payload, &mut json, before)?;
        self.json = String::from_utf8(json).map_err(|_invalid| Malformed("text is not UTF-8"))?;
        self.payload.extend_from_slice(payload);
        Ok(())
    }

    fn write(&mut self, payload: &[u8], json: &mut Vec<u8>, before: &Self) -> Result<(), Malformed> {
        let mut fields = Fields::new(payload);
        while let Some((field, raw)) = fields.next_field()? {
            match (field, raw) {
                (1, Raw::Bytes(text)) => json.extend_from_slice(text),
                (2, Raw::Bytes(list)) => self.key_values(list, payload.len() - fields.remaining() - list.len(), json, before)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The list begins at a place of the payload.
    fn key_values(&mut self, list: &[u8], begin: usize, json: &mut Vec<u8>, before: &Self) -> Result<(), Malformed> {
        json.push(b'{');
        let (mut fields, mut first) = (Fields::new(list), true);
        while let Some((field, raw)) = fields.next_field()? {
            if let (1, Raw::Bytes(entry)) = (field, raw) {
                comma(&mut first, json);
                let end = begin + list.len() - fields.remaining();
                self.entry((entry, end - entry.len()), json, before)?;
            }
        }
        json.push(b'}');
        Ok(())
    }

    fn entry(&mut self, (entry, at): (&[u8], usize), json: &mut Vec<u8>, before: &Self) -> Result<(), Malformed> {
        let from = json.len();
        match before.entries.get(self.entries.len()).filter(|same| before.payload[same.payload.clone()] == *entry) {
            Some(same) => json.extend_from_slice(&before.json.as_bytes()[same.json.clone()]),
            None => key_value(entry, json, 0)?,
        }
        self.entries.push(Entry { payload: at..at + entry.len(), json: from..json.len() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::put_bytes;

    /// A payload of texts; a value of 0xff is no text.
    fn payload(entries: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let (mut list, mut payload) = (Vec::new(), Vec::new());
        for (key, value) in entries {
            let (mut any, mut entry) = (Vec::new(), Vec::new());
            put_bytes(&mut any, 1, value);
            put_bytes(&mut entry, 1, format!("k{key}").as_bytes());
            put_bytes(&mut entry, 2, &any);
            put_bytes(&mut list, 1, &entry);
        }
        put_bytes(&mut payload, 2, &list);
        payload
    }

    /// Few keys and values, so that entries are often those of the payload before; some are damaged.
    fn entries() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
        let value =
            prop_oneof![8 => proptest::collection::vec(b'a'..=b'c', 0..3), 1 => Just(vec![0xff]), 1 => Just(b"\"".to_vec())];
        proptest::collection::vec((0u8..2, value), 0..5)
    }

    proptest! {
        #[test]
        fn a_renderer_says_what_is_said_of_each_alone(all in proptest::collection::vec(entries(), 1..12)) {
            let mut renderer = Renderer::default();
            for entries in all {
                let (payload, mut alone) = (payload(&entries), String::new());
                let expected = super::super::to_json(&payload, &mut alone).map(|()| alone.as_str());
                prop_assert_eq!(renderer.json(&payload), expected);
            }
        }
    }
}
