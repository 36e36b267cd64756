//! Rows on their way into files: cut into partitions, each in the table's sort order, without moving a byte of them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use watershed_schema::arrow::ColumnsBuilder;
use watershed_schema::wire::Malformed;
use watershed_schema::{Column, ColumnSet, EventBatch, Projection, Row, Seq, ShardId, TenantId, Value, Walk};

use crate::partitioning::Partitioning;

/// A run of a shard's committed rows.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The shard.
    pub shard: ShardId,
    /// First row.
    pub from_seq: Seq,
    /// Behind the last.
    pub to_seq: Seq,
    /// Batches with the number of their first row; rows outside the run are passed over.
    pub blocks: Vec<(Seq, Arc<EventBatch>)>,
}

/// Hours, days or months since the epoch, and event type.
pub(crate) type Partition = (i32, String);

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    block: usize,
    row: usize,
}

/// Rows of one partition.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// Columns in which a row has anything.
    columns: ColumnSet,
    /// In the table's order.
    pub(crate) places: Vec<Place>,
}

impl Part {
    /// Columns in which a row has anything, and its number.
    pub(crate) fn columns(&self) -> Vec<Column> {
        let is_filled = |column: &Column| matches!(column, Column::Shard | Column::Sequence) || self.columns.contains(*column);
        Column::ALL.iter().copied().filter(is_filled).collect()
    }
}

/// What rows of one `ns` are sorted by: `trace_id` (absent first), `timestamp`, then as they came. In front is how the trace
/// begins, as a number: most comparisons end there.
type Key<'a> = (u128, Option<&'a str>, i64, Place);

/// How a text begins; texts are in the order of these numbers where they differ.
fn beginning(text: &str) -> u128 {
    let mut bytes = [0; size_of::<u128>()];
    bytes.iter_mut().zip(text.bytes()).for_each(|(byte, of_text)| *byte = of_text);
    u128::from_be_bytes(bytes)
}

impl Rows {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.iter().map(|(first, batch)| self.inside(*first, batch).len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same run, a tenant's rows alone.
    #[must_use]
    pub fn of(&self, tenant: &TenantId) -> Self {
        let blocks = self.blocks.iter().filter(|(_, batch)| batch.tenant() == tenant).cloned().collect();
        Self { blocks, ..*self }
    }

    /// Parts blocks that can become columns from those that cannot: the good, then the bad.
    #[must_use]
    pub fn sift(self) -> (Self, Self) {
        let fine = |(first, batch): &(Seq, Arc<EventBatch>)| {
            ColumnsBuilder::new(Column::ALL).append(self.shard, *first, batch, |_, _| true).is_ok()
        };
        let (good, bad) = self.blocks.into_iter().partition(fine);
        let run = |blocks| Self { shard: self.shard, from_seq: self.from_seq, to_seq: self.to_seq, blocks };
        (run(good), run(bad))
    }

    /// The partitions with their rows in order.
    pub(crate) fn partitions(&self, by: Partitioning) -> Result<BTreeMap<Partition, Part>, Malformed> {
        let mut groups = Groups::default();
        let projection = Projection::new(&[Column::Ns, Column::TraceId, Column::Timestamp, Column::EventType]);
        let mut walk = Walk::default();
        for (block, (first, batch)) in self.blocks.iter().enumerate() {
            let inside = self.inside(*first, batch);
            for row in inside.clone() {
                if inside.contains(&(row + 1)) {
                    batch.row(row + 1).touch();
                }
                let mut values = [None; 4];
                batch.row(row).visit_next(&projection, &mut walk, |slot, value| values[slot] = Some(value))?;
                let text = |slot: usize| values[slot].and_then(Value::as_str);
                let at = values[2].and_then(Value::as_int).ok_or(Malformed("row without timestamp"))?;
                let time = by.value(at).ok_or(Malformed("timestamp out of range"))?;
                let (columns, keys) = groups.of((time, text(3).unwrap_or(""), text(0).unwrap_or("")));
                columns.extend(walk.columns());
                keys.push((text(1).map_or(0, beginning), text(1), at, Place { block, row }));
            }
        }
        Ok(groups.parts())
    }

    /// Indexes of a block's rows that belong to the run.
    pub(crate) fn inside(&self, first: Seq, batch: &EventBatch) -> Range<usize> {
        let at = |seq: Seq| usize::try_from(seq.0.saturating_sub(first.0)).unwrap_or(usize::MAX).min(batch.len());
        at(self.from_seq)..at(self.to_seq)
    }

    pub(crate) fn row(&self, place: Place) -> (ShardId, Seq, Row<'_>) {
        let (first, batch) = &self.blocks[place.block];
        (self.shard, Seq(first.0 + place.row as u64), batch.row(place.row))
    }
}

/// Time and event type of a partition, and `ns`.
type Group<'a> = (i32, &'a str, &'a str);

/// Rows of the same partition and `ns`; they mostly come one after the other.
#[derive(Default)]
struct Groups<'a> {
    numbers: BTreeMap<Group<'a>, usize>,
    last: Option<(Group<'a>, usize)>,
    rows: Vec<(ColumnSet, Vec<Key<'a>>)>,
}

impl<'a> Groups<'a> {
    fn of(&mut self, group: Group<'a>) -> &mut (ColumnSet, Vec<Key<'a>>) {
        let number = match self.last {
            Some((last, number)) if last == group => number,
            _ => *self.numbers.entry(group).or_insert(self.rows.len()),
        };
        if number == self.rows.len() {
            self.rows.push(Default::default());
        }
        self.last = Some((group, number));
        &mut self.rows[number]
    }

    /// In the order of partitions, and of `ns` in each.
    fn parts(mut self) -> BTreeMap<Partition, Part> {
        let mut parts: BTreeMap<Partition, Part> = BTreeMap::new();
        for ((time, kind, _), number) in self.numbers {
            let (columns, mut keys) = std::mem::take(&mut self.rows[number]);
            keys.sort_unstable();
            let part = parts.entry((time, kind.to_owned())).or_default();
            part.columns.extend(columns);
            part.places.extend(keys.into_iter().map(|(_, _, _, place)| place));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use watershed_schema::BatchBuilder;

    use super::*;

    const HOUR_US: i64 = 3_600_000_000;

    #[test]
    fn beginnings_are_in_the_order_of_texts() {
        let texts = ["", "\0", "0", "00f067aa0ba902b7", "00f067aa0ba902b7b", "00f067aa0ba902b8", "ab", "b", "ba", "bä"];
        assert!(texts.is_sorted());
        assert!(texts.map(|text| (beginning(text), text)).is_sorted());
    }

    fn batch(rows: &[(&str, Option<&str>, i64)]) -> Arc<EventBatch> {
        let mut builder = BatchBuilder::new(TenantId::default(), 0);
        for (kind, trace, at) in rows {
            builder.row(None, |row| {
                row.str(Column::Id, "i");
                row.str(Column::EventType, kind);
                row.str(Column::EventName, "n");
                row.int(Column::Timestamp, *at);
                row.str(Column::Ns, "default");
                trace.iter().for_each(|trace| row.str(Column::TraceId, trace));
            });
        }
        Arc::new(builder.finish().expect("rows"))
    }

    #[test]
    fn rows_of_the_run_alone_in_the_tables_order() {
        let blocks = vec![
            (Seq(5), batch(&[("log", Some("b"), 1), ("log", Some("b"), 9), ("log", None, 3)])),
            (Seq(8), batch(&[("trace", Some("a"), 2), ("log", Some("a"), 7), ("log", Some("b"), HOUR_US)])),
            (Seq(11), batch(&[("log", Some("b"), 4), ("log", Some("0"), 1)])),
        ];
        let rows = Rows { shard: ShardId(3), from_seq: Seq(6), to_seq: Seq(12), blocks };
        let parts = rows.partitions(Partitioning::Hour).expect("whole");
        let seqs = |part: &Part| part.places.iter().map(|place| rows.row(*place).1.0).collect::<Vec<_>>();
        let found: Vec<_> = parts.iter().map(|((hour, kind), part)| (*hour, kind.as_str(), seqs(part))).collect();
        assert_eq!(found, [(0, "log", vec![7, 9, 11, 6]), (0, "trace", vec![8]), (1, "log", vec![10])]);
        let has_trace: Vec<_> = parts.values().map(|part| part.columns().contains(&Column::TraceId)).collect();
        assert_eq!(has_trace, [true, true, true]);
        assert!(parts.values().all(|part| !part.columns().contains(&Column::SpanId) && part.columns().contains(&Column::Shard)));
    }
}
