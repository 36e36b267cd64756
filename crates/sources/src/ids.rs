//! Deterministic event ids, so that a retry is recognised: a 128-bit hash as UUIDv8 text (RFC 9562, 5.8).
//!
//! The first half is the hash of what the event belongs to (its trace, its request), the second that of all that
//! names it: neighbours share a prefix, so that a stored id costs 10 bytes instead of 17 and no bit of the whole is lost
//! between events of different traces; within one trace 62 bits tell spans apart.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

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
    // One pass over a short text is several times faster than the streaming hasher, whose state has half a kilobyte.
    let mut key = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        key.extend_from_slice(&(part.len() as u64).to_le_bytes());
        key.extend_from_slice(part);
    }
    Id::new(u128::from(xxh3_64(group)) << 64 | u128::from(xxh3_64(&key)))
}

/// 36 characters.
pub(crate) struct Id([u8; 36]);

impl Id {
    fn new(hash: u128) -> Self {
        let versioned = hash & !(0xf << 76) | (8 << 76);
        let bytes = (versioned & !(0b11 << 62) | (0b10 << 62)).to_be_bytes();
        let mut digits = [0; 32];
        write_hex(&bytes, &mut digits);
        let mut text = [b'-'; 36];
        for (group, at) in [(0..8, 0), (8..12, 9), (12..16, 14), (16..20, 19), (20..32, 24)] {
            text[at..at + group.len()].copy_from_slice(&digits[group]);
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
    bytes.chunks(16).map(|part| Hex::of(part).as_str().to_owned()).collect()
}

/// Lower-case hexadecimal of up to 16 bytes; what is longer is no id and is cut.
pub(crate) struct Hex {
    digits: [u8; 32],
    length: usize,
}

impl Hex {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut digits = [0; 32];
        let length = write_hex(bytes, &mut digits);
        Self { digits, length }
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits[..self.length]).expect("invariant: hexadecimal digits")
    }
}

/// Returns how many digits there are.
fn write_hex(bytes: &[u8], digits: &mut [u8; 32]) -> usize {
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    2 * bytes.len().min(16)
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
