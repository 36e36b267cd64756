//! Which events are in letters, for who tells a stream what it does not get.

use std::io;

use watershed_schema::{Seq, ShardId};

use super::DeadLetters;

impl DeadLetters {
    /// Runs of a tenant's events in letters of a shard within `[from, to)`, all of which is staged; in order.
    ///
    /// # Errors
    /// What the disk says, or that a letter is damaged.
    pub fn runs(&self, tenant: &str, shard: ShardId, (from, to): (Seq, Seq)) -> io::Result<Vec<(Seq, Seq)>> {
        let mut runs: Vec<(Seq, Seq)> = Vec::new();
        for letter in self.names(shard)?.iter().filter(|letter| letter.from_seq < to && letter.to_seq > from) {
            let rows = match self.rows(&letter.text) {
                // It was replayed in between.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                rows => rows?,
            };
            for (first, batch) in rows.blocks.iter().filter(|(_, batch)| batch.tenant().as_str() == tenant) {
                let (begin, end) = ((*first).max(from), first.advanced_by(batch.header().rows).min(to));
                match runs.last_mut().filter(|(_, last)| *last == begin) {
                    Some((_, last)) => *last = end.max(begin),
                    None if begin < end => runs.push((begin, end)),
                    None => {}
                }
            }
        }
        Ok(runs)
    }
}
