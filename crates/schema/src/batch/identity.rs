//! What makes an event the same as another: its tenant, its source and its id.
//!
//! Each is hashed for itself, with a seed of its own, for a writer meets them one after the other; so a batch knows the hashes
//! of its events when they are written, and only one that comes from the disk or from another node is walked for them.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::EventBatch;
use crate::row::{Projection, Row};
use crate::wire::Malformed;
use crate::{Column, TenantId};

/// The hashes of an event's id and of its source, as far as a part says them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: Option<u128>,
    pub(crate) source: Option<u128>,
}

impl Identity {
    /// The event's, in a batch of this tenant.
    pub(crate) fn hash(self, tenant: u128) -> u128 {
        tenant ^ self.source.unwrap_or_else(|| of_source("")) ^ self.id.unwrap_or_else(|| of_id(""))
    }

    fn or(self, common: Self) -> Self {
        Self { id: self.id.or(common.id), source: self.source.or(common.source) }
    }
}

pub(crate) fn of_tenant(tenant: &TenantId) -> u128 {
    xxh3_128_with_seed(tenant.as_str().as_bytes(), 2)
}

pub(crate) fn of_source(source: &str) -> u128 {
    xxh3_128_with_seed(source.as_bytes(), 1)
}

pub(crate) fn of_id(id: &str) -> u128 {
    xxh3_128_with_seed(id.as_bytes(), 0)
}

impl EventBatch {
    /// 128-bit hashes, in order: what dedupe compares. Equal ids of two tenants are two events, and so are those of two
    /// sources: `1` is an action's id in one and a message's in the other.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are damaged.
    pub fn id_hashes(&self) -> Result<Vec<u128>, Malformed> {
        if !self.ids.is_empty() {
            return Ok(self.ids.clone());
        }
        let (keys, tenant) = (Projection::new(&[Column::EventSource, Column::Id]), of_tenant(&self.tenant));
        let identity = |place: &std::ops::Range<usize>| identity(&keys, &self.body[place.clone()]);
        let shared = self.shared.iter().map(identity).collect::<Result<Vec<_>, _>>()?;
        let hash = |row: &super::RowPlace| {
            let common = row.shared.map_or_else(Identity::default, |part| shared[part]);
            Ok(identity(&row.own)?.or(common).hash(tenant))
        };
        self.rows.iter().map(hash).collect()
    }
}

fn identity(keys: &Projection, part: &[u8]) -> Result<Identity, Malformed> {
    let mut names = [None; 2];
    Row { shared: None, own: part }.visit(keys, |slot, value| names[slot] = value.as_str())?;
    let [source, id] = names;
    Ok(Identity { id: id.map(of_id), source: source.map(of_source) })
}

#[cfg(test)]
mod tests {
    use crate::{BatchBuilder, EventWriter, TenantId};

    use super::*;

    fn batch(tenant: &str, source_is_shared: bool) -> EventBatch {
        let mut batch = BatchBuilder::new(TenantId::new(tenant).unwrap(), 256);
        let name = |row: &mut EventWriter<'_>, source: &str| row.str(Column::EventSource, source);
        let shared = source_is_shared.then(|| batch.shared(|row| name(row, "cdc")));
        for source in ["cdc", "segment"] {
            batch.row(shared, |row| {
                row.str(Column::Id, "1");
                row.str(Column::EventType, "track");
                row.str(Column::EventName, "e");
                row.int(Column::Timestamp, 0);
                if shared.is_none() || source == "segment" {
                    name(row, source);
                }
            });
        }
        batch.finish().unwrap()
    }

    #[test]
    fn an_event_is_the_same_when_tenant_source_and_id_are() {
        let (one, other) = (batch("a", false).id_hashes().unwrap(), batch("b", false).id_hashes().unwrap());
        assert_eq!(batch("a", true).id_hashes().unwrap(), one, "wherever the source stands");
        let all: std::collections::BTreeSet<u128> = one.into_iter().chain(other).collect();
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn one_that_is_opened_or_checked_says_the_same() {
        for source_is_shared in [false, true] {
            let batch = batch("a", source_is_shared);
            let opened = EventBatch::open(&batch.seal()).unwrap();
            assert!(opened.ids.is_empty(), "it is walked");
            assert_eq!(opened.id_hashes(), batch.id_hashes());
            let checked = EventBatch::decode(batch.tenant().clone(), batch.body().clone()).unwrap();
            assert_eq!(checked.id_hashes(), batch.id_hashes());
        }
    }

    #[test]
    fn an_id_that_reads_like_a_source_or_a_tenant_cancels_nothing_out() {
        let of = |tenant: &str, source: &str, id: &str| {
            let identity = Identity { id: Some(of_id(id)), source: Some(of_source(source)) };
            identity.hash(of_tenant(&TenantId::new(tenant).unwrap()))
        };
        let names = ["a", "b", "c"];
        let all: std::collections::BTreeSet<u128> =
            names.iter().flat_map(|one| names.iter().flat_map(|two| names.iter().map(|three| of(one, two, three)))).collect();
        assert_eq!(all.len(), 27);
    }
}
