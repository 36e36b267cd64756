//! A compact membership filter: whether a batch may hold a trace, a session or an event name.
//!
//! A binary fuse filter (Graf and Lemire, arXiv 2201.01174) with 16-bit fingerprints: about 18 bits a key, no false
//! negatives, one false positive in 65 000. On disk: seed, three lengths, fingerprints, all little endian.

use bytes::Bytes;
use xorf::{BinaryFuse16, Descriptor, Filter as _};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Most keys of one filter; above, a reader must look inside.
const KEYS_MAX: usize = 1 << 16;
const DESCRIPTOR_BYTES: usize = Descriptor::DMA_LEN;
const NAME_SEED: u64 = 1;

/// Hash of a trace or session id, as filters hold it.
#[must_use]
pub fn key_hash(id: &str) -> u64 {
    xxh3_64(id.as_bytes())
}

/// Hash of an event name, as filters hold it; a name and an id of the same text differ.
#[must_use]
pub fn name_hash(name: &str) -> u64 {
    xxh3_64_with_seed(name.as_bytes(), NAME_SEED)
}

/// The filter of a batch's header, opened.
#[derive(Debug)]
pub struct KeyFilter {
    /// `None`: anything may be inside.
    filter: Option<BinaryFuse16>,
}

impl KeyFilter {
    /// The bytes of a filter of these keys, in any order, with repeats. Empty for too many or none.
    #[must_use]
    pub fn build(mut keys: Vec<u64>) -> Bytes {
        keys.sort_unstable();
        keys.dedup();
        let fits = (1..=KEYS_MAX).contains(&keys.len());
        let filter = fits.then(|| BinaryFuse16::try_from(&keys).ok()).flatten();
        filter.map_or_else(Bytes::new, |filter| encode(&filter))
    }

    /// Opens what [`Self::build`] made; bytes that are no filter hold anything.
    #[must_use]
    pub fn open(bytes: &[u8]) -> Self {
        Self { filter: decode(bytes) }
    }

    /// Whether the key may be inside.
    #[must_use]
    pub fn may_hold(&self, key: u64) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.contains(&key))
    }
}

fn encode(filter: &BinaryFuse16) -> Bytes {
    let Descriptor { seed, segment_length, segment_length_mask, segment_count_length } = filter.descriptor;
    let mut out = Vec::with_capacity(DESCRIPTOR_BYTES + 2 * filter.fingerprints.len());
    out.extend_from_slice(&seed.to_le_bytes());
    for number in [segment_length, segment_length_mask, segment_count_length] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    filter.fingerprints.iter().for_each(|fingerprint| out.extend_from_slice(&fingerprint.to_le_bytes()));
    Bytes::from(out)
}

fn decode(bytes: &[u8]) -> Option<BinaryFuse16> {
    let (seed, rest) = bytes.split_first_chunk::<8>()?;
    let (lengths, fingerprints) = rest.split_first_chunk::<12>()?;
    let length = |place: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| lengths[4 * place + byte]));
    let descriptor = Descriptor {
        seed: u64::from_le_bytes(*seed),
        segment_length: length(0),
        segment_length_mask: length(1),
        segment_count_length: length(2),
    };
    let (pairs, odd) = fingerprints.as_chunks::<2>();
    let fingerprints: Box<[u16]> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    (odd.is_empty() && inside(&descriptor, fingerprints.len())).then_some(BinaryFuse16 { descriptor, fingerprints })
}

/// Whether no key can be looked up beyond the fingerprints: three neighbouring segments from below the last two.
fn inside(descriptor: &Descriptor, fingerprints: usize) -> bool {
    let Descriptor { segment_length, segment_length_mask, segment_count_length, .. } = descriptor;
    let whole = segment_length.is_power_of_two() && *segment_length_mask == segment_length - 1;
    let end = u64::from(*segment_count_length) + 2 * u64::from(*segment_length);
    whole && segment_count_length.is_multiple_of(*segment_length) && end == fingerprints as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_hardly_any_other() {
        for count in [1, 2, 3, 10, 300, 5_000] {
            let keys: Vec<u64> = (0..count).map(|n| key_hash(&format!("trace-{n}"))).collect();
            let bytes = KeyFilter::build(keys.iter().chain(&keys).copied().collect());
            let filter = KeyFilter::open(&bytes);
            assert!(keys.iter().all(|key| filter.may_hold(*key)), "{count}");
            let strangers = (0..10_000).filter(|n| filter.may_hold(key_hash(&format!("other-{n}")))).count();
            assert!(strangers < 10, "{count} keys: {strangers} of 10000 strangers");
            assert!(count < 300 || bytes.len() < usize::try_from(count).unwrap() * 4, "{count} keys: {} bytes", bytes.len());
        }
    }

    #[test]
    fn what_is_no_filter_holds_anything() {
        let whole = KeyFilter::build(vec![1, 2, 3]);
        for bytes in [&[][..], &[0; 21], &whole[..whole.len() - 2], &whole[..whole.len() - 1], &[0xff; 64]] {
            assert!(KeyFilter::open(bytes).may_hold(7), "{bytes:?}");
        }
        assert!(KeyFilter::build(Vec::new()).is_empty());
    }

    /// The form is on disk: neither our hash nor the library's may change.
    #[test]
    fn the_form_is_fixed() {
        let bytes = KeyFilter::build(vec![key_hash("t"), key_hash("s"), name_hash("GET /cart")]);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "c15c0289ec2d0a9108000000070000000800000000000000000000000000000000000000000000000430000000000000000000000000000000000000df30000000009689"
        );
    }
}
