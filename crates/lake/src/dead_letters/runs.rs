//! Which events are in a letter, for who tells a stream what it does not get.

use watershed_schema::{Seq, TenantId};

use crate::Rows;

impl Rows {
    /// Runs of a tenant's events within `[from, to)`; in order.
    #[must_use]
    pub fn runs_of(&self, tenant: &TenantId, (from, to): (Seq, Seq)) -> Vec<(Seq, Seq)> {
        let (from, to) = (from.max(self.from_seq), to.min(self.to_seq));
        let mut runs: Vec<(Seq, Seq)> = Vec::new();
        for (first, batch) in self.blocks.iter().filter(|(_, batch)| batch.tenant() == tenant) {
            let (begin, end) = ((*first).max(from), first.advanced_by(batch.header().rows).min(to));
            match runs.last_mut().filter(|(_, last)| *last == begin) {
                Some((_, last)) => *last = end.max(begin),
                None if begin < end => runs.push((begin, end)),
                None => {}
            }
        }
        runs
    }

    /// Whose rows there are, by name.
    #[must_use]
    pub fn tenants(&self) -> std::collections::BTreeSet<&str> {
        self.blocks.iter().map(|(_, batch)| batch.tenant().as_str()).collect()
    }
}
