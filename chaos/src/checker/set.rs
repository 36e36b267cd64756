//! One read against what was sent.

use std::collections::BTreeMap;

use super::{Events, Finding, Moment, Read, Sent, Trouble};

type Places = Vec<(u32, u64)>;

pub(super) fn check(events: &Events<'_>, read: &Read) -> Vec<Finding> {
    let mut found: BTreeMap<u64, Places> = BTreeMap::new();
    for row in &read.rows {
        found.entry(row.id).or_default().push((row.shard, row.seq));
    }
    let mut findings: Vec<Finding> = lost(events, read, &found).collect();
    for (id, places) in &found {
        let sent = events.get(id).filter(|sent| sent.tenant == read.tenant);
        let trouble = match sent {
            None => Trouble::Phantom,
            Some(_) if places.len() > 1 => Trouble::Duplicated,
            Some(_) => continue,
        };
        findings.push(finding(trouble, read, *id, events.get(id), places.clone()));
    }
    findings
}

/// Acknowledged before the read began, and not in it.
fn lost<'a>(events: &'a Events<'_>, read: &'a Read, found: &'a BTreeMap<u64, Places>) -> impl Iterator<Item = Finding> + 'a {
    let due = |sent: &Sent<'_>| match (sent.acknowledged_us, read.moment) {
        (Some(_), Moment::Final) => true,
        (Some(at_us), Moment::During(began_us)) => at_us < began_us,
        (None, _) => false,
    };
    events
        .iter()
        .filter(move |(id, sent)| sent.tenant == read.tenant && due(sent) && !found.contains_key(id))
        .map(|(id, sent)| finding(Trouble::Lost, read, *id, Some(sent), Vec::new()))
}

fn finding(trouble: Trouble, read: &Read, id: u64, sent: Option<&Sent<'_>>, places: Places) -> Finding {
    Finding {
        trouble,
        reader: read.reader.clone(),
        tenant: read.tenant.clone(),
        id: Some(id),
        places,
        acknowledged_us: sent.and_then(|sent| sent.acknowledged_us),
    }
}
