//! Events with the lowest numbers of all that are seen, as many as fit into a stream's room.

use arrow::array::RecordBatch;
use watershed_lake::ShardRows;
use watershed_schema::{BatchBuilder, Column, Seq};

use super::files;
use super::kept::{Kept, Sealed};
use super::room::Room;
use crate::{QueryError, events};

/// Bytes that are encoded together. Events take a third of what they take as columns, most of which are empty.
const SLICE_BYTES: usize = 1 << 20;

/// What is kept, as it comes together.
#[derive(Debug)]
pub(super) struct Gather {
    /// What is still wanted: its end moves down whenever the room is full.
    wanted: ShardRows,
    slices: Vec<Sealed>,
    bytes_max: usize,
}

impl Gather {
    pub(super) fn new(wanted: &ShardRows, bytes_max: usize) -> Self {
        Self { wanted: wanted.clone(), slices: Vec::new(), bytes_max }
    }

    pub(super) fn wanted(&self) -> &ShardRows {
        &self.wanted
    }

    /// Whether events from this number on are for later: they are beyond its end, or it is full enough to end there.
    pub(super) fn ends_before(&mut self, from: Seq) -> Result<bool, QueryError> {
        if from < self.wanted.to && from > self.wanted.from && self.bytes() >= self.bytes_max / 2 {
            self.end(from)?;
        }
        Ok(from >= self.wanted.to)
    }

    pub(super) fn add(&mut self, rows: &RecordBatch) -> Result<(), QueryError> {
        let rows = files::exactly(rows, &self.wanted)?;
        let seqs: Vec<_> = files::numbers(&rows)?.collect();
        // Where events stand is not a part of them: the hot tier's rows have no such columns.
        let columns = events::columns(&rows, |column| !matches!(column, Column::Shard | Column::Sequence));
        let mut at = 0;
        while at < seqs.len() {
            let (from, mut batch) = (at, BatchBuilder::new(self.wanted.tenant.clone(), 1024));
            while at < seqs.len() && batch.bytes() < SLICE_BYTES {
                events::add(&mut batch, &columns, at);
                at += 1;
            }
            let events = batch.finish().map_err(|error| QueryError::Internal(format!("row in the lake: {error}")))?;
            self.slices.push(Sealed::new(&events, seqs[from..at].to_vec()));
        }
        while self.bytes() > self.bytes_max && self.events() > 1 {
            self.halve()?;
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.slices.iter().map(Sealed::bytes).sum()
    }

    fn events(&self) -> usize {
        self.slices.iter().map(|slice| slice.seqs().len()).sum()
    }

    /// The upper half is for later.
    fn halve(&mut self) -> Result<(), QueryError> {
        let mut seqs: Vec<_> = self.slices.iter().flat_map(Sealed::seqs).copied().collect();
        let half = seqs.len().div_ceil(2);
        let (_, middle, _) = seqs.select_nth_unstable(half);
        let middle = *middle;
        self.end(middle)
    }

    /// It ends before this number.
    fn end(&mut self, to: Seq) -> Result<(), QueryError> {
        self.wanted.to = to;
        let mut below = Vec::with_capacity(self.slices.len());
        for slice in std::mem::take(&mut self.slices) {
            if slice.seqs().iter().all(|seq| *seq < to) {
                below.push(slice);
            } else if let Some(part) = slice.opened(|seq| seq < to)? {
                below.push(Sealed::new(&part.events, part.seqs));
            }
        }
        self.slices = below;
        Ok(())
    }

    /// What came together.
    pub(super) fn kept(self, room: Room) -> Kept {
        Kept::new(self.slices, self.wanted.to, room)
    }
}

#[cfg(test)]
mod tests {
    use watershed_schema::arrow::ColumnsBuilder;
    use watershed_schema::{ShardId, TenantId};

    use super::super::room::Rooms;
    use super::*;

    /// Ten kilobytes that are kept as long as they are.
    fn incompressible(seed: u64) -> String {
        let next = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        let drawn = std::iter::successors(Some(seed), next).skip(1).take(10_000);
        drawn.map(|state| char::from(b' ' + u8::try_from(state >> 58).expect("six bits"))).collect()
    }

    fn rows(seqs: &[u64]) -> RecordBatch {
        let mut batch = BatchBuilder::new(TenantId::default(), 0);
        for seq in seqs {
            batch.row(None, |row| {
                row.str(Column::Id, &format!("{seq}"));
                row.str(Column::Ns, "default");
                row.str(Column::EventType, "log");
                row.str(Column::EventName, &incompressible(*seq));
                row.int(Column::Timestamp, 1);
            });
        }
        let batch = batch.finish().unwrap();
        let mut columns = ColumnsBuilder::new(Column::ALL);
        columns.extend(batch.rows().zip(seqs).map(|(row, seq)| (ShardId(3), Seq(*seq), row))).unwrap();
        columns.finish()
    }

    fn wanted(from: u64, to: u64) -> ShardRows {
        ShardRows { tenant: TenantId::default(), shard: ShardId(3), from: Seq(from), to: Seq(to), from_us: None }
    }

    /// Numbers as their events say them, and the end.
    fn told(gather: Gather) -> (Vec<u64>, u64) {
        let mut kept = gather.kept(Rooms::default().take());
        let (mut seqs, mut at) = (Vec::new(), Seq(0));
        let mut page = kept.page(at).unwrap();
        while !page.is_over() || at < kept.to() {
            if page.is_over() {
                page = kept.page(at).unwrap();
            }
            let step = page.step(&TenantId::default(), at).unwrap();
            assert!(step.blocks.iter().map(|(_, batch)| batch.body().len()).sum::<usize>() <= 2 << 20, "a step is short");
            for (first, batch) in step.blocks {
                for (place, row) in (first.0..).zip(batch.rows()) {
                    assert_eq!(row.get(Column::Id).unwrap().unwrap().as_str(), Some(place.to_string().as_str()));
                    seqs.push(place);
                }
            }
            at = step.to;
        }
        (seqs, at.0)
    }

    #[test]
    fn a_page_is_what_has_the_lowest_numbers_and_is_within_its_memory() {
        let mut gather = Gather::new(&wanted(10, 10_000), 4 << 20);
        // Numbers of 10 to 1 009 in another order, and what is not wanted.
        let mixed: Vec<u64> = (0..1_000).map(|n| 10 + n * 7 % 1_000).collect();
        for some in mixed.chunks(10) {
            gather.add(&rows(some)).unwrap();
            assert!(gather.bytes() <= 4 << 20);
        }
        gather.add(&rows(&[3, 20_000])).unwrap();
        let (seqs, to) = told(gather);
        assert!(seqs.len() > 100 && seqs.len() < 500, "{}", seqs.len());
        assert_eq!(seqs, (10..10 + seqs.len() as u64).collect::<Vec<_>>(), "the lowest, each once");
        assert_eq!(to, seqs.last().unwrap() + 1, "what is left begins behind them");
    }

    #[test]
    fn it_ends_where_the_next_file_begins_once_it_is_full_enough() {
        let mut gather = Gather::new(&wanted(1, 100), 1 << 20);
        gather.add(&rows(&[5, 2, 9, 200])).unwrap();
        assert!(!gather.ends_before(Seq(6)).unwrap(), "there is room");
        gather.bytes_max = 50_000;
        assert!(gather.ends_before(Seq(6)).unwrap());
        assert_eq!(told(gather), (vec![2, 5], 6));
        let empty = Gather::new(&wanted(1, 100), 1);
        assert_eq!(told(empty), (vec![], 100), "nothing is there, and that is said of all of it");
    }

    #[test]
    fn one_event_that_is_longer_than_a_page_is_a_page() {
        let mut gather = Gather::new(&wanted(1, 100), 1);
        gather.add(&rows(&[5, 2])).unwrap();
        gather.add(&rows(&[3])).unwrap();
        assert_eq!(told(gather), (vec![2], 3), "what is left begins with the next");
    }
}
