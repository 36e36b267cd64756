//! The set checker (after Jepsen's set-full): what was sent, what was read, and whether the two agree. Pure.
//!
//! It must not know how anything was sent, read or broken.

mod agreement;
mod density;
mod findings;
mod set;

use std::collections::BTreeMap;

pub use findings::{Finding, Trouble};

use crate::history::{Batch, Fate};

/// An event as somebody read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Its id.
    pub id: u64,
    /// Shard that ordered it.
    pub shard: u32,
    /// Its number there.
    pub seq: u64,
}

/// When a read was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// During the load; it began at this time, microseconds.
    During(u64),
    /// After everything was healed and quiet: all such reads of a tenant must be equal.
    Final,
}

/// Everything of one tenant, as somebody read it.
#[derive(Clone, Debug)]
pub struct Read {
    /// Who read, for people.
    pub reader: String,
    /// Whose events.
    pub tenant: String,
    /// When.
    pub moment: Moment,
    /// In any order.
    pub rows: Vec<Row>,
}

/// What senders know of an event.
#[derive(Clone, Debug)]
struct Sent<'a> {
    tenant: &'a str,
    acknowledged_us: Option<u64>,
}

type Events<'a> = BTreeMap<u64, Sent<'a>>;

fn events(batches: &[Batch]) -> Events<'_> {
    batches.iter().flat_map(each).collect()
}

fn each(batch: &Batch) -> impl Iterator<Item = (u64, Sent<'_>)> {
    let acknowledged_us = match batch.fate {
        Fate::Acknowledged(at_us) => Some(at_us),
        Fate::Unknown => None,
    };
    batch.ids.clone().map(move |id| (id, Sent { tenant: &batch.tenant, acknowledged_us }))
}

/// Everything that breaks the promise: each acknowledged event once, no other twice, none that was never sent, the same for
/// every reader, numbers of a shard without holes.
#[must_use]
pub fn check(batches: &[Batch], reads: &[Read]) -> Vec<Finding> {
    let events = events(batches);
    let mut findings: Vec<Finding> = reads.iter().flat_map(|read| set::check(&events, read)).collect();
    findings.extend(agreement::check(&events, reads));
    findings.extend(density::check(reads));
    findings
}
