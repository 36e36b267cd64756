//! Final reads of a tenant against each other: what one sees, all see, in the same place.

use std::collections::{BTreeMap, BTreeSet};

use super::{Events, Finding, Moment, Read, Row, Trouble};

pub(super) fn check(events: &Events<'_>, reads: &[Read]) -> Vec<Finding> {
    let mut first: BTreeMap<&str, (&Read, BTreeSet<Row>)> = BTreeMap::new();
    let mut findings = Vec::new();
    for read in reads.iter().filter(|read| read.moment == Moment::Final) {
        let rows: BTreeSet<Row> = read.rows.iter().copied().collect();
        let (against, theirs) = first.entry(&read.tenant).or_insert_with(|| (read, rows.clone()));
        let disputed = rows.symmetric_difference(theirs).map(|row| Finding {
            trouble: Trouble::Disputed,
            reader: format!("{} against {}", read.reader, against.reader),
            tenant: read.tenant.clone(),
            id: Some(row.id),
            places: vec![(row.shard, row.seq)],
            acknowledged_us: events.get(&row.id).and_then(|sent| sent.acknowledged_us),
        });
        findings.extend(disputed);
    }
    findings
}
