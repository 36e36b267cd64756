//! The newest events in memory, so that a reader at the tail never touches the disk.

use std::collections::VecDeque;
use std::sync::Arc;

use watershed_hot::ScanRequest;
use watershed_schema::{EventBatch, Seq};

use super::handle::Page;

/// Bytes kept for each shard, with what is known of the events beside their own bytes.
const RECENT_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Default)]
pub(crate) struct Recent {
    blocks: VecDeque<(Seq, Arc<EventBatch>)>,
    bytes: usize,
}

impl Recent {
    pub(crate) fn push(&mut self, first_seq: Seq, batch: Arc<EventBatch>) {
        self.bytes += batch.memory_bytes();
        self.blocks.push_back((first_seq, batch));
        while self.bytes > RECENT_BYTES_MAX && self.blocks.len() > 1 {
            let gone = self.blocks.pop_front().map_or(0, |(_, batch)| batch.memory_bytes());
            self.bytes -= gone;
        }
    }

    /// A page, when everything from `request.from_seq` on is here; else it must come from the disk.
    pub(crate) fn read(&self, request: &ScanRequest) -> Option<Page> {
        let start = self.blocks.partition_point(|(first, batch)| end(*first, batch) <= request.from_seq);
        let mut page = Page { blocks: Vec::new(), next: request.from_seq };
        if self.blocks.get(start)?.0 > request.from_seq {
            return None;
        }
        let mut bytes = 0;
        for (first, batch) in self.blocks.range(start..).take_while(|(first, _)| *first < request.to_seq_exclusive) {
            if request.may_match(batch.header()) {
                bytes += batch.body().len();
                if bytes > request.bytes_max && !page.blocks.is_empty() {
                    return Some(page);
                }
                page.blocks.push((*first, Arc::clone(batch)));
            }
            page.next = end(*first, batch).min(request.to_seq_exclusive);
        }
        Some(page)
    }
}

fn end(first: Seq, batch: &EventBatch) -> Seq {
    first.advanced_by(batch.header().rows)
}

#[cfg(test)]
mod tests {
    use watershed_schema::{BatchBuilder, Column, TenantId};

    use super::*;

    fn batch(tenant: &str, rows: usize) -> Arc<EventBatch> {
        let mut builder = BatchBuilder::new(TenantId::new(tenant).expect("a tenant"), 64);
        for row in 0..rows {
            builder.row(None, |writer| {
                writer.str(Column::Id, &row.to_string());
                writer.str(Column::EventType, "log");
                writer.str(Column::EventName, "x");
                writer.int(Column::Timestamp, 1);
            });
        }
        Arc::new(builder.finish().expect("rows"))
    }

    #[test]
    fn a_page_holds_one_tenant_and_steps_over_the_others() {
        let mut recent = Recent::default();
        recent.push(Seq(10), batch("a", 3));
        recent.push(Seq(13), batch("b", 2));
        recent.push(Seq(15), batch("a", 1));
        let request = ScanRequest { tenant: Some(TenantId::new("a").expect("a tenant")), ..ScanRequest::from(Seq(11)) };
        let page = recent.read(&request).expect("in memory");
        assert_eq!(page.blocks.iter().map(|(first, _)| first.0).collect::<Vec<_>>(), [10, 15]);
        assert_eq!(page.next, Seq(16));
        let only_b = ScanRequest { to_seq_exclusive: Seq(15), ..ScanRequest::from(Seq(13)) };
        assert_eq!(recent.read(&only_b).expect("in memory").next, Seq(15));
    }

    /// Events of a few bytes, about each of which more is known than it is long.
    #[test]
    fn what_is_known_of_events_counts_against_the_bound() {
        const ROWS: usize = 1_000;
        let (mut recent, small) = (Recent::default(), batch("a", ROWS));
        let places = small.memory_bytes() - small.body().len();
        assert!(places > small.body().len(), "{places} bytes beside {}", small.body().len());
        for n in 0..2 * RECENT_BYTES_MAX / small.memory_bytes() {
            recent.push(Seq((1 + n * ROWS) as u64), Arc::clone(&small));
        }
        let held: usize = recent.blocks.iter().map(|(_, batch)| batch.memory_bytes()).sum();
        assert!(held <= RECENT_BYTES_MAX && held + small.memory_bytes() > RECENT_BYTES_MAX, "{held} bytes are held");
    }

    #[test]
    fn what_is_older_comes_from_the_disk() {
        let mut recent = Recent::default();
        recent.push(Seq(10), batch("a", 3));
        assert!(recent.read(&ScanRequest::from(Seq(9))).is_none());
        assert!(recent.read(&ScanRequest::from(Seq(13))).is_none());
    }
}
