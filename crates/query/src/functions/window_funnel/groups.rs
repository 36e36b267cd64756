//! The events of all actors of a funnel, and what becomes of them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, ListArray, StringArray, StringBuilder, StructArray,
    UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Int32Type, Int64Type, TimestampMicrosecondType, UInt32Type};
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::super::arena::{Arena, Grouped, Texts};
use super::attempt_fields;
use crate::analytics::attempt::{Mode, Moment, Rules, Search};

/// Which arguments there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Arguments before the time.
    pub(super) first: usize,
    /// Whether there is a text to split by.
    pub(super) is_split: bool,
    /// Whether the answer is the attempt, not its length.
    pub(super) is_attempt: bool,
}

impl Layout {
    /// Where the steps begin.
    pub(super) fn steps(self) -> usize {
        self.first + 3 + usize::from(self.is_split)
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at_us: i64,
    seq: i64,
    shard: i32,
    steps: u32,
    split: u32,
}

pub(super) struct FunnelGroups {
    rules: Rules,
    layout: Layout,
    arena: Arena<Entry>,
    texts: Texts,
}

impl FunnelGroups {
    pub(super) fn new(rules: Rules, layout: Layout) -> Self {
        Self { rules, layout, arena: Arena::new(), texts: Texts::default() }
    }

    /// A bit for each step that a row satisfies.
    fn masks(&self, values: &[ArrayRef], filter: Option<&BooleanArray>, rows: usize) -> Vec<u32> {
        let mut masks = vec![0_u32; rows];
        for (step, holds) in values[self.layout.steps()..].iter().enumerate() {
            let holds = true_rows(holds.as_boolean());
            holds.set_indices().for_each(|row| masks[row] |= 1 << step);
        }
        if let Some(filter) = filter {
            let keep = true_rows(filter);
            (0..rows).filter(|row| !keep.value(*row)).for_each(|row| masks[row] = 0);
        }
        masks
    }

    fn entries(&mut self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Vec<Option<Entry>> {
        let first = self.layout.first;
        let times = values[first].as_primitive::<TimestampMicrosecondType>();
        let (shards, seqs) = (values[first + 1].as_primitive::<Int32Type>(), values[first + 2].as_primitive::<Int64Type>());
        let masks = self.masks(values, filter, times.len());
        let all_count = self.rules.mode == Mode::StrictOrder;
        let passes = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let splits = self.layout.is_split.then(|| values[first + 3].as_string::<i32>());
        let mut entries = Vec::with_capacity(masks.len());
        for (row, steps) in masks.into_iter().enumerate() {
            let counts = (steps != 0 || (all_count && passes(row))) && times.is_valid(row);
            entries.push(counts.then(|| Entry {
                at_us: times.value(row),
                seq: if seqs.is_valid(row) { seqs.value(row) } else { 0 },
                shard: if shards.is_valid(row) { shards.value(row) } else { 0 },
                steps,
                // Only an event of the first step says what its attempt is split by.
                split: splits.map_or(0, |splits| if steps & 1 == 0 { 0 } else { self.texts.code(splits, row) }),
            }));
        }
        entries
    }

    /// Each group's events in order, as moments, and the texts that they are split by.
    fn attempts(&self, grouped: &Grouped<Entry>, mut each: impl FnMut(&[i64], Option<&str>)) {
        let (mut search, mut order, mut moments) = (Search::new(self.rules), Vec::new(), Vec::new());
        for group in grouped.groups() {
            order.clear();
            order.extend(group.iter().map(|index| grouped.rows[*index as usize]));
            order.sort_unstable_by_key(|entry| (entry.at_us, entry.shard, entry.seq));
            moments.clear();
            moments.extend(order.iter().map(|entry| Moment { at_us: entry.at_us, steps: entry.steps }));
            let (times, start) = search.run(&moments);
            let split = order.get(start).filter(|_| !times.is_empty()).and_then(|entry| self.texts.text(entry.split));
            each(times, split);
        }
    }

    fn state_of(&self, grouped: &Grouped<Entry>) -> Vec<ArrayRef> {
        let offsets = OffsetBuffer::from_lengths(grouped.lengths());
        let mut state = vec![
            list(&offsets, Arc::new(Int64Array::from_iter_values(grouped.column(|entry| entry.at_us)))),
            list(&offsets, Arc::new(Int32Array::from_iter_values(grouped.column(|entry| entry.shard)))),
            list(&offsets, Arc::new(Int64Array::from_iter_values(grouped.column(|entry| entry.seq)))),
            list(&offsets, Arc::new(UInt32Array::from_iter_values(grouped.column(|entry| entry.steps)))),
        ];
        if self.layout.is_split {
            let texts: StringArray = grouped.column(|entry| self.texts.text(entry.split)).collect();
            state.push(list(&offsets, Arc::new(texts)));
        }
        state
    }
}

/// Rows where it is true, not false and not null.
fn true_rows(holds: &BooleanArray) -> arrow::buffer::BooleanBuffer {
    match holds.nulls() {
        Some(valid) => holds.values() & valid.inner(),
        None => holds.values().clone(),
    }
}

fn list(offsets: &OffsetBuffer<i32>, values: ArrayRef) -> ArrayRef {
    let field = Field::new_list_field(values.data_type().clone(), true);
    Arc::new(ListArray::new(Arc::new(field), offsets.clone(), values, None))
}

impl GroupsAccumulator for FunnelGroups {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, total: usize) -> Result<()> {
        self.arena.grow(total);
        let entries = self.entries(values, filter);
        entries
            .into_iter()
            .zip(groups)
            .filter_map(|(entry, group)| Some((*group, entry?)))
            .try_for_each(|(group, entry)| self.arena.push(group, entry))
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], _: Option<&BooleanArray>, total: usize) -> Result<()> {
        self.arena.grow(total);
        let Some(times) = values.first().map(|times| times.as_list::<i32>()) else { return Ok(()) };
        let inside = |place: usize| values[place].as_list::<i32>().values();
        let (at, shard) = (inside(0).as_primitive::<Int64Type>(), inside(1).as_primitive::<Int32Type>());
        let (seq, steps) = (inside(2).as_primitive::<Int64Type>(), inside(3).as_primitive::<UInt32Type>());
        let splits = self.layout.is_split.then(|| inside(4).as_string::<i32>());
        for (row, group) in groups.iter().enumerate() {
            let ends = &times.value_offsets()[row..=row + 1];
            for place in ends[0]..ends[1] {
                let place = usize::try_from(place).expect("invariant: offsets are not negative");
                let split = splits.map_or(0, |splits| self.texts.code(splits, place));
                let entry = Entry {
                    at_us: at.value(place),
                    seq: seq.value(place),
                    shard: shard.value(place),
                    steps: steps.value(place),
                    split,
                };
                self.arena.push(*group, entry)?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let grouped = self.arena.take(emit);
        if !self.layout.is_attempt {
            let mut reached = Vec::with_capacity(grouped.bounds.len());
            self.attempts(&grouped, |times, _| reached.push(times.len() as i64));
            return Ok(Arc::new(Int64Array::from(reached)));
        }
        let (mut lengths, mut all, mut splits) = (Vec::new(), Vec::new(), StringBuilder::new());
        self.attempts(&grouped, |times, split| {
            lengths.push(times.len());
            all.extend_from_slice(times);
            splits.append_option(split);
        });
        let times = list(&OffsetBuffer::from_lengths(lengths), Arc::new(Int64Array::from(all)));
        Ok(Arc::new(StructArray::new(attempt_fields(), vec![times, Arc::new(splits.finish())], None)))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let grouped = self.arena.take(emit);
        Ok(self.state_of(&grouped))
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut alone = Self::new(self.rules, self.layout);
        let rows = values[self.layout.first].len();
        alone.arena.grow(rows);
        for (row, entry) in alone.entries(values, filter).into_iter().enumerate() {
            if let Some(entry) = entry {
                alone.arena.push(row, entry)?;
            }
        }
        let grouped = alone.arena.take(EmitTo::All);
        Ok(alone.state_of(&grouped))
    }

    fn supports_convert_to_state(&self) -> bool {
        true
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.arena.size() + self.texts.size()
    }
}
