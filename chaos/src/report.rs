//! What a run came to, as JSON and for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::checker::{Finding, Trouble};
use crate::cluster::Exit;
use crate::fault::Fault;
use crate::history::{Batch, Fate};

/// Findings that are listed; the others are counted.
const LISTED_MAX: usize = 200;
const SHOWN_MAX: usize = 12;

/// Events and requests of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// Events that were sent.
    pub sent: u64,
    /// Events that were acknowledged.
    pub acknowledged: u64,
    /// Events whose outcome their sender does not know.
    pub unknown: u64,
    /// Attempts that ended without an acknowledgement.
    pub attempts_failed: u64,
    /// Batches that were sent again though acknowledged.
    pub sent_again: u64,
    /// How often subscriptions went on from their token.
    pub resumed: u64,
    /// Queries that were answered during the load.
    pub queries: u64,
    /// Longest time without an acknowledgement, milliseconds, by tenant.
    pub longest_silence_ms: BTreeMap<String, u64>,
}

impl Counts {
    /// What the senders know.
    #[must_use]
    pub fn of(batches: &[Batch]) -> Self {
        let mut counts = Self::default();
        let mut at_us: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for batch in batches {
            let events = batch.ids.end - batch.ids.start;
            counts.sent += events;
            match batch.fate {
                Fate::Acknowledged(us) => {
                    counts.acknowledged += events;
                    at_us.entry(&batch.tenant).or_default().push(us);
                }
                Fate::Unknown => counts.unknown += events,
            }
        }
        let silence = |(tenant, mut at_us): (&str, Vec<u64>)| {
            at_us.sort_unstable();
            let longest = at_us.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
            (tenant.to_owned(), longest / 1_000)
        };
        counts.longest_silence_ms = at_us.into_iter().map(silence).collect();
        counts
    }
}

/// A run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// The seed it was drawn from.
    pub seed: u64,
    /// Whether the checker is content.
    pub is_content: bool,
    /// What happened to the load.
    pub counts: Counts,
    /// How many findings there are of each sort, by reader.
    pub troubles: BTreeMap<String, u64>,
    /// The first findings.
    pub findings: Vec<Finding>,
    /// What did not come about, or what somebody said that should not be said.
    pub problems: Vec<String>,
    /// How the nodes saw their shards when there was a problem.
    pub described: Vec<String>,
    /// Processes that ended though nobody told them to.
    pub exits: Vec<Exit>,
    /// What was done.
    pub plan: Vec<Fault>,
    /// Readers whose reads were checked.
    pub readers: Vec<String>,
}

/// How often each sort of trouble was found, by who found it.
#[must_use]
pub fn troubles(findings: &[Finding]) -> BTreeMap<String, u64> {
    let mut troubles = BTreeMap::new();
    for Finding { trouble, reader, .. } in findings {
        *troubles.entry(format!("{trouble:?} ({reader})")).or_default() += 1;
    }
    troubles
}

/// The first of each sort.
#[must_use]
pub fn listed(findings: Vec<Finding>) -> Vec<Finding> {
    let mut taken: BTreeMap<(Trouble, String), usize> = BTreeMap::new();
    let kept = findings.into_iter().filter(|finding| {
        let taken = taken.entry((finding.trouble, finding.reader.clone())).or_default();
        *taken += 1;
        *taken <= SHOWN_MAX
    });
    kept.take(LISTED_MAX).collect()
}

impl Report {
    /// For people.
    #[must_use]
    pub fn summary(&self) -> String {
        let Self { name, seed, counts, .. } = self;
        let mut text = format!("{name}, seed {seed}: {}\n", if self.is_content { "content" } else { "NOT CONTENT" });
        let Counts { sent, acknowledged, unknown, attempts_failed, sent_again, resumed, queries, longest_silence_ms } = counts;
        let mut line = |words: String| writeln!(text, "  {words}").expect("invariant: a String takes every write");
        line(format!("{sent} events sent: {acknowledged} acknowledged, {unknown} unknown; {attempts_failed} attempts failed"));
        line(format!("{sent_again} batches sent again, {resumed} subscriptions resumed, {queries} queries during the load"));
        line(format!("{} faults; longest time without an acknowledgement, ms: {longest_silence_ms:?}", self.plan.len()));
        line(format!("checked: {}", self.readers.join("; ")));
        self.exits.iter().for_each(|exit| {
            line(format!("node {} ended by itself: {}, fail points {:?}", exit.place, exit.status, exit.fail_points));
        });
        self.problems.iter().for_each(|problem| line(format!("problem: {problem}")));
        self.troubles.iter().for_each(|(trouble, times)| line(format!("{trouble}: {times}")));
        self.findings.iter().take(SHOWN_MAX).for_each(|finding| line(finding.to_string()));
        text
    }
}
