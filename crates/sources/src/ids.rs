//! Deterministic event ids, so that a retry is recognised: a 128-bit hash as UUIDv8 text (RFC 9562, 5.8).
//!
//! The first half is the hash of what the event belongs to (its trace, its request), the second that of all that
//! names it: neighbours share a prefix, so that a stored id costs 10 bytes instead of 17 and no bit of the whole is lost
//! between events of different traces; within one trace 62 bits tell spans apart.

use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128};

/// Digest of a request's bytes; with a record's ordinal it names records that have no key of their own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestDigest(u128);

impl RequestDigest {
    pub(crate) fn of(request: &[u8]) -> Self {
        Self(xxh3_128(request))
    }

    pub(crate) fn id(self, ordinal: u64) -> Id {
        id_in(&self.0.to_be_bytes(), &[&self.0.to_be_bytes(), &ordinal.to_be_bytes()])
    }
}

/// An id from a natural key inside a group; parts are length-prefixed, so no two keys run together.
pub(crate) fn id_in(group: &[u8], parts: &[&[u8]]) -> Id {
    let mut hash = Xxh3::new();
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    Id::new(u128::from(xxh3_64(group)) << 64 | u128::from(hash.digest()))
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
        let id = id_in(b"t", &[b"a", b"bc"]);
        assert_eq!(id.as_str().len(), 36);
        assert_eq!(&id.as_str()[14..15], "8");
        assert!("89ab".contains(&id.as_str()[19..20]));
        assert_eq!(id.as_str(), "76033e85-f0ac-892d-b42e-e0df2a023ef1");
        assert_ne!(id.as_str(), id_in(b"t", &[b"ab", b"c"]).as_str());
    }

    #[test]
    fn neighbours_share_a_prefix_and_nothing_else() {
        let (one, two, other) = (id_in(b"t", &[b"1"]), id_in(b"t", &[b"2"]), id_in(b"u", &[b"1"]));
        assert_eq!(one.as_str()[..19], two.as_str()[..19]);
        assert_ne!(one.as_str()[19..], two.as_str()[19..]);
        assert_ne!(one.as_str()[..19], other.as_str()[..19]);
    }
}
