//! Numbers of a shard: 1, 2, 3 …, each of one event. All tenants of a reader together, for they share shards.

use std::collections::BTreeMap;

use super::{Finding, Moment, Read, Trouble};

pub(super) fn check(reads: &[Read]) -> Vec<Finding> {
    let mut readers: BTreeMap<&str, BTreeMap<u32, BTreeMap<u64, u64>>> = BTreeMap::new();
    for read in reads.iter().filter(|read| read.moment == Moment::Final) {
        let shards = readers.entry(&read.reader).or_default();
        for row in &read.rows {
            *shards.entry(row.shard).or_default().entry(row.seq).or_default() += 1;
        }
    }
    let mut findings = Vec::new();
    for (reader, shards) in readers {
        for (shard, seqs) in shards {
            let last = seqs.keys().next_back().copied().unwrap_or_default();
            let trouble = |seq| match seqs.get(&seq) {
                None => Some((Trouble::Hole, seq)),
                Some(1) => None,
                Some(_) => Some((Trouble::Shared, seq)),
            };
            findings.extend((1..=last).filter_map(trouble).map(|(trouble, seq)| place(trouble, reader, (shard, seq))));
        }
    }
    findings
}

fn place(trouble: Trouble, reader: &str, place: (u32, u64)) -> Finding {
    Finding { trouble, reader: reader.to_owned(), tenant: String::new(), id: None, places: vec![place], acknowledged_us: None }
}
