//! Which snapshots are needed. Pure.
//!
//! Iceberg's own expiry goes by when a snapshot was made. Here it is when it ceased to be the newest: a table that rested
//! for a week has one snapshot, which a reader may have pinned a moment before the next commit.

use std::collections::{BTreeMap, BTreeSet};

use iceberg::spec::{MAIN_BRANCH, SnapshotReference, SnapshotRetention as OfRef, TableMetadata};

use super::SnapshotRetention;
use crate::LakeError;

/// Branches and tags by name. The `iceberg` crate keeps them to itself, but writes them.
pub(super) fn refs(metadata: &TableMetadata) -> Result<BTreeMap<String, SnapshotReference>, LakeError> {
    let mut written = serde_json::to_value(metadata)?;
    let refs = written.get_mut("refs").map(serde_json::Value::take).filter(|refs| !refs.is_null());
    Ok(refs.map(serde_json::from_value).transpose()?.unwrap_or_default())
}

/// Snapshots that nobody needs, in order of their numbers.
pub(super) fn unneeded(
    metadata: &TableMetadata,
    refs: &BTreeMap<String, SnapshotReference>,
    retention: &SnapshotRetention,
    now_ms: i64,
) -> Vec<i64> {
    let retention = joined(retention, refs.get(MAIN_BRANCH));
    let oldest_ms = now_ms.saturating_sub(i64::try_from(retention.age.as_millis()).unwrap_or(i64::MAX));
    let mut kept: BTreeSet<i64> = metadata.current_snapshot_id().into_iter().collect();
    for (name, reference) in refs {
        kept.insert(reference.snapshot_id);
        if name != MAIN_BRANCH && matches!(reference.retention, OfRef::Branch { .. }) {
            kept.extend(lineage(metadata, reference.snapshot_id));
        }
    }
    let (mut superseded_ms, mut of_main) = (i64::MAX, BTreeSet::new());
    for (place, id) in metadata.current_snapshot_id().into_iter().flat_map(|id| lineage(metadata, id)).enumerate() {
        of_main.insert(id);
        if place < retention.count || superseded_ms >= oldest_ms {
            kept.insert(id);
        }
        superseded_ms = metadata.snapshot_by_id(id).map_or(i64::MAX, |snapshot| snapshot.timestamp_ms());
    }
    let left_behind = |id: i64| !of_main.contains(&id) && superseded(metadata, id) >= oldest_ms;
    let all = metadata.snapshots().map(|snapshot| snapshot.snapshot_id()).collect::<BTreeSet<_>>();
    all.into_iter().filter(|id| !kept.contains(id) && !left_behind(*id)).collect()
}

/// What the table's owner wants to be kept of the main branch counts, too.
fn joined(ours: &SnapshotRetention, main: Option<&SnapshotReference>) -> SnapshotRetention {
    let Some(OfRef::Branch { min_snapshots_to_keep, max_snapshot_age_ms, .. }) = main.map(|main| &main.retention) else {
        return *ours;
    };
    let count = min_snapshots_to_keep.and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let age_ms = max_snapshot_age_ms.and_then(|age| u64::try_from(age).ok()).unwrap_or(0);
    SnapshotRetention { age: ours.age.max(std::time::Duration::from_millis(age_ms)), count: ours.count.max(count).max(1) }
}

/// A snapshot and what it came from, newest first.
fn lineage(metadata: &TableMetadata, id: i64) -> impl Iterator<Item = i64> {
    let parent = |id: &i64| metadata.snapshot_by_id(*id)?.parent_snapshot_id();
    std::iter::successors(Some(id), parent).take_while(|id| metadata.snapshot_by_id(*id).is_some())
}

/// When a snapshot that main has left behind was the newest for the last time.
fn superseded(metadata: &TableMetadata, id: i64) -> i64 {
    let history = metadata.history();
    let last = history.iter().rposition(|entry| entry.snapshot_id == id);
    let next = last.and_then(|place| history.get(place + 1)).map(iceberg::spec::SnapshotLog::timestamp_ms);
    next.or_else(|| Some(metadata.snapshot_by_id(id)?.timestamp_ms())).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn snapshot((id, parent, hour): (i64, Option<i64>, i64)) -> Value {
        let mut snapshot = json!({
            "snapshot-id": id, "sequence-number": id, "timestamp-ms": hour * HOUR_MS,
            "manifest-list": format!("/t/{id}.avro"), "summary": {"operation": "append"},
        });
        if let Some(parent) = parent {
            snapshot["parent-snapshot-id"] = parent.into();
        }
        snapshot
    }

    /// Snapshots by id, parent and hour; `history` are those that were the newest, and since which hour.
    fn table(snapshots: &[(i64, Option<i64>, i64)], history: &[(i64, i64)], refs: &Value) -> TableMetadata {
        let log: Vec<_> = history.iter().map(|(id, hour)| json!({"snapshot-id": id, "timestamp-ms": hour * HOUR_MS})).collect();
        let field = json!({"id": 1, "name": "id", "required": true, "type": "string"});
        let table = json!({
            "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "/t",
            "last-sequence-number": 99, "last-updated-ms": 99 * HOUR_MS, "last-column-id": 1, "current-schema-id": 0,
            "schemas": [{"type": "struct", "schema-id": 0, "fields": [field]}], "default-spec-id": 0,
            "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999, "default-sort-order-id": 0,
            "sort-orders": [{"order-id": 0, "fields": []}], "properties": {},
            "current-snapshot-id": history.last().map(|(id, _)| id), "snapshot-log": log, "refs": refs,
            "snapshots": snapshots.iter().copied().map(snapshot).collect::<Vec<_>>(),
        });
        serde_json::from_value(table).expect("metadata")
    }

    fn removed(table: &TableMetadata, hours: u64, count: usize, now: i64) -> Vec<i64> {
        let retention = SnapshotRetention { age: Duration::from_secs(hours * 3_600), count };
        unneeded(table, &refs(table).expect("refs"), &retention, now * HOUR_MS)
    }

    const LINE: [(i64, Option<i64>, i64); 4] = [(1, None, 1), (2, Some(1), 2), (3, Some(2), 50), (4, Some(3), 51)];
    const SINCE: [(i64, i64); 4] = [(1, 1), (2, 2), (3, 50), (4, 51)];

    fn main_at(id: i64) -> Value {
        json!({"snapshot-id": id, "type": "branch"})
    }

    #[test]
    fn a_snapshot_is_as_old_as_the_one_that_followed_it() {
        let table = table(&LINE, &SINCE, &json!({"main": main_at(4)}));
        assert_eq!(removed(&table, 10, 1, 55), [1], "2 was the newest until hour 50");
        assert_eq!(removed(&table, 10, 1, 61), [1, 2], "3 was until hour 51");
        assert_eq!(removed(&table, 10, 1, 62), [1, 2, 3], "the newest stays for ever");
        assert_eq!(removed(&table, 10, 3, 62), [1]);
        assert_eq!(removed(&table, 1_000, 1, 62), [0i64; 0]);
    }

    #[test]
    fn branches_and_tags_of_others_keep_what_they_need() {
        let tag = json!({"main": main_at(4), "audit": {"snapshot-id": 2, "type": "tag"}});
        assert_eq!(removed(&table(&LINE, &SINCE, &tag), 0, 1, 99), [1, 3]);
        let branch = json!({"main": main_at(4), "mine": {"snapshot-id": 2, "type": "branch"}});
        assert_eq!(removed(&table(&LINE, &SINCE, &branch), 0, 1, 99), [3]);
        let longer = json!({"main": {"snapshot-id": 4, "type": "branch", "min-snapshots-to-keep": 3}});
        assert_eq!(removed(&table(&LINE, &SINCE, &longer), 0, 1, 99), [1]);
    }

    #[test]
    fn a_snapshot_that_was_rolled_back_is_kept_as_long_as_others() {
        let table = table(&LINE, &[(1, 1), (2, 2), (3, 50), (4, 51), (3, 60)], &json!({"main": main_at(3)}));
        assert_eq!(removed(&table, 10, 1, 65), [1, 2], "4 was the newest until hour 60");
        assert_eq!(removed(&table, 10, 1, 71), [1, 2, 4]);
    }
}
