//! Deterministic event ids, so that a retry is recognised: a 128-bit hash as UUIDv8 text (RFC 9562, 5.8).

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Digest of a request's bytes; with a record's ordinal it names records that have no key of their own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestDigest(u128);

impl RequestDigest {
    pub(crate) fn of(request: &[u8]) -> Self {
        Self(xxh3_128(request))
    }

    pub(crate) fn id(self, ordinal: u64) -> Id {
        id_of(&[&self.0.to_be_bytes(), &ordinal.to_be_bytes()])
    }
}

/// An id from a natural key; parts are length-prefixed, so no two keys run together.
pub(crate) fn id_of(parts: &[&[u8]]) -> Id {
    let mut hash = Xxh3::new();
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    Id::new(hash.digest128())
}

/// 36 characters.
pub(crate) struct Id([u8; 36]);

impl Id {
    fn new(hash: u128) -> Self {
        let versioned = hash & !(0xf << 76) | (8 << 76);
        let bytes = (versioned & !(0b11 << 62) | (0b10 << 62)).to_be_bytes();
        let mut text = [b'-'; 36];
        let places = (0..36).filter(|place| ![8, 13, 18, 23].contains(place));
        for (place, digit) in places.zip(bytes.iter().flat_map(|byte| [byte >> 4, byte & 15])) {
            text[place] = HEX[usize::from(digit)];
        }
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("invariant: hexadecimal digits and dashes")
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(HEX[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_of_version_8_and_never_changes() {
        let id = id_of(&[b"a", b"bc"]);
        assert_eq!(id.as_str().len(), 36);
        assert_eq!(&id.as_str()[14..15], "8");
        assert!("89ab".contains(&id.as_str()[19..20]));
        assert_eq!(id.as_str(), id_of(&[b"a", b"bc"]).as_str());
        assert_ne!(id.as_str(), id_of(&[b"ab", b"c"]).as_str());
    }
}
