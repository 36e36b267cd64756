//! The ring: tenant and key to shard, the same on every node, for years.
//!
//! Placement is on disk, so every byte that is hashed is ours: never the standard library's hasher, never a
//! derived `Hash`. `hashring`'s `get_with_replicas` returns duplicates and is not used.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hash, Hasher};

use hashring::HashRing;
use watershed_schema::{ShardId, TenantId};
use xxhash_rust::xxh3::Xxh3;

/// Points of each shard on the ring.
const VIRTUAL_POINTS: u16 = 128;

/// xxh3 with seed 0 over the bytes that are written.
#[derive(Clone, Copy, Debug, Default)]
struct FixedHash;

struct FixedHasher(Xxh3);

impl BuildHasher for FixedHash {
    type Hasher = FixedHasher;

    fn build_hasher(&self) -> FixedHasher {
        FixedHasher(Xxh3::new())
    }
}

impl Hasher for FixedHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.digest()
    }
}

/// One of a shard's points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    shard: ShardId,
    number: u16,
}

impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.shard.0.to_le_bytes());
        state.write(&self.number.to_le_bytes());
    }
}

/// What is looked up; the length keeps `(a, bc)` and `(ab, c)` apart.
struct Key<'a> {
    tenant: &'a str,
    key: &'a [u8],
}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&(self.tenant.len() as u64).to_le_bytes());
        state.write(self.tenant.as_bytes());
        state.write(self.key);
    }
}

/// Which shard owns what.
#[derive(Clone)]
pub struct Ring {
    points: HashRing<Point, FixedHash>,
    shards: u16,
    high_volume: BTreeSet<TenantId>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({} shards, {} high-volume tenants)", self.shards, self.high_volume.len())
    }
}

impl Ring {
    /// The ring of shards `0..shards`.
    ///
    /// # Panics
    /// When `shards` is 0.
    #[must_use]
    pub fn new(shards: u16) -> Self {
        assert!(shards > 0, "invariant: a cluster has a shard");
        let mut points = HashRing::with_hasher(FixedHash);
        let of_shard = |shard| (0..VIRTUAL_POINTS).map(move |number| Point { shard: ShardId(shard), number });
        points.batch_add((0..shards).flat_map(of_shard).collect());
        Self { points, shards, high_volume: BTreeSet::new() }
    }

    /// From now on the tenant's events are spread over all shards by trace.
    pub fn graduate(&mut self, tenant: TenantId) {
        self.high_volume.insert(tenant);
    }

    /// Whether the tenant is spread over all shards.
    #[must_use]
    pub fn is_high_volume(&self, tenant: &TenantId) -> bool {
        self.high_volume.contains(tenant)
    }

    /// Where an event goes. A low-volume tenant lives on one shard, whatever the key.
    ///
    /// `key` = trace id, else session id, else actor or anonymous id, else event id.
    #[must_use]
    pub fn shard(&self, tenant: &TenantId, key: &[u8]) -> ShardId {
        let key = if self.is_high_volume(tenant) { key } else { b"" };
        self.owner(tenant, key)
    }

    /// Where a reader must look: the old home of a graduated tenant and its new places.
    #[must_use]
    pub fn query_shards(&self, tenant: &TenantId, trace: Option<&[u8]>) -> Vec<ShardId> {
        let home = self.owner(tenant, b"");
        let places: BTreeSet<ShardId> = match trace {
            _ if !self.is_high_volume(tenant) => [home].into(),
            Some(trace) => [home, self.owner(tenant, trace)].into(),
            None => (0..self.shards).map(ShardId).collect(),
        };
        places.into_iter().collect()
    }

    fn owner(&self, tenant: &TenantId, key: &[u8]) -> ShardId {
        let key = Key { tenant: tenant.as_str(), key };
        self.points.get(&key).expect("invariant: the ring has points").shard
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).expect("a tenant")
    }

    fn spread(shards: u16) -> Ring {
        let mut ring = Ring::new(shards);
        ring.graduate(tenant("big"));
        ring
    }

    /// Never change these: events of years lie where they say.
    #[test]
    fn vectors() {
        let ring = spread(16);
        let of = |name: &str, key: &str| ring.shard(&tenant(name), key.as_bytes()).0;
        let found = [
            of("default", ""),
            of("acme", "any"),
            of("big", ""),
            of("big", "trace-1"),
            of("big", "trace-2"),
            of("big", "trace-3"),
        ];
        assert_eq!(found, VECTORS);
    }

    const VECTORS: [u16; 6] = [4, 5, 5, 8, 15, 8];

    #[test]
    fn a_low_volume_tenant_has_one_home() {
        let ring = spread(16);
        let homes: BTreeSet<_> = (0..100u32).map(|key| ring.shard(&tenant("small"), &key.to_le_bytes())).collect();
        assert_eq!(homes.into_iter().collect::<Vec<_>>(), ring.query_shards(&tenant("small"), None));
    }

    #[test]
    fn shards_get_equal_shares() {
        let ring = spread(16);
        let mut counts = [0u32; 16];
        (0..160_000u32).for_each(|key| counts[usize::from(ring.shard(&tenant("big"), &key.to_le_bytes()).0)] += 1);
        let max = counts.iter().max().expect("16 shards");
        assert!(*max < 10_000 * 13 / 10, "{counts:?}");
    }

    #[test]
    fn one_more_shard_moves_only_its_share() {
        let (before, after) = (spread(16), spread(17));
        let moved: Vec<_> = (0..10_000u32)
            .map(|key| (before.shard(&tenant("big"), &key.to_le_bytes()), after.shard(&tenant("big"), &key.to_le_bytes())))
            .filter(|(old, new)| old != new)
            .collect();
        assert!(moved.iter().all(|(_, new)| *new == ShardId(16)), "keys move to the new shard only");
        assert!((300..900).contains(&moved.len()), "{} of 10000 moved", moved.len());
    }

    proptest! {
        #[test]
        fn a_reader_always_looks_where_the_writer_wrote(name in "[a-z]{1,8}", trace in "[0-9a-f]{32}", grow in any::<bool>()) {
            let mut ring = Ring::new(16);
            let tenant = tenant(&name);
            let before = ring.shard(&tenant, trace.as_bytes());
            if grow {
                ring.graduate(tenant.clone());
            }
            let now = ring.shard(&tenant, trace.as_bytes());
            for asked in [ring.query_shards(&tenant, Some(trace.as_bytes())), ring.query_shards(&tenant, None)] {
                prop_assert!(asked.contains(&before) && asked.contains(&now));
            }
        }
    }
}
