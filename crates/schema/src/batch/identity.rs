//! What makes an event the same as another: its tenant, its source and its id.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128_with_seed};

use super::EventBatch;
use crate::Column;
use crate::row::{Projection, Row};
use crate::wire::Malformed;

/// Source and id, as far as a part says them.
type Names<'a> = [Option<&'a str>; 2];

impl EventBatch {
    /// 128-bit hashes, in order: what dedupe compares. Equal ids of two tenants are two events, and so are those of two
    /// sources: `1` is an action's id in one and a message's in the other.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are damaged.
    pub fn id_hashes(&self) -> Result<Vec<u128>, Malformed> {
        let keys = Projection::new(&[Column::EventSource, Column::Id]);
        let names = |place: &std::ops::Range<usize>| names(&keys, &self.body[place.clone()]);
        let tenant = xxh3_64(self.tenant.as_str().as_bytes());
        let shared = self.shared.iter().map(names).collect::<Result<Vec<Names<'_>>, _>>()?;
        let hash = |row: &super::RowPlace| {
            let [source, id] = names(&row.own)?;
            let [common_source, common_id] = row.shared.map_or_else(Names::default, |part| shared[part]);
            Ok(hash(tenant, source.or(common_source), id.or(common_id)))
        };
        self.rows.iter().map(hash).collect()
    }
}

fn names<'a>(keys: &Projection, part: &'a [u8]) -> Result<Names<'a>, Malformed> {
    let mut names = Names::default();
    Row { shared: None, own: part }.visit(keys, |slot, value| names[slot] = value.as_str())?;
    Ok(names)
}

fn hash(tenant: u64, source: Option<&str>, id: Option<&str>) -> u128 {
    let source = xxh3_64_with_seed(source.unwrap_or_default().as_bytes(), tenant);
    xxh3_128_with_seed(id.unwrap_or_default().as_bytes(), source)
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
}
