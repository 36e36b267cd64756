//! First anchors and activity of all actors.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, Int64Array, ListArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Int64Type, TimestampMicrosecondType};
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::super::arena::{Arena, Grouped};
use super::{CohortRule, fields};

pub(super) struct CohortGroups {
    rule: CohortRule,
    /// Arguments before the time.
    first: usize,
    /// First anchor of each group, microseconds.
    anchors: Vec<Option<i64>>,
    /// Calendar: numbers of the periods; rolling: the times themselves.
    activity: Arena<i64>,
    /// The newest of each group, which often comes again.
    newest: Vec<Option<i64>>,
}

impl CohortGroups {
    pub(super) fn new(rule: CohortRule, first: usize) -> Self {
        Self { rule, first, anchors: Vec::new(), activity: Arena::new(), newest: Vec::new() }
    }

    fn grow(&mut self, total: usize) {
        let total = total.max(self.anchors.len());
        self.anchors.resize(total, None);
        self.newest.resize(total, None);
        self.activity.grow(total);
    }

    fn anchor(&mut self, group: usize, at_us: i64) {
        let first = &mut self.anchors[group];
        *first = Some(first.map_or(at_us, |first| first.min(at_us)));
    }

    fn active(&mut self, group: usize, value: i64) -> Result<()> {
        if self.newest[group].replace(value) == Some(value) { Ok(()) } else { self.activity.push(group, value) }
    }

    /// Which period of an actor a value lies in.
    fn period(&self, anchor_us: i64, value: i64) -> Option<usize> {
        let CohortRule { grain, periods, is_rolling } = self.rule;
        let period = if is_rolling { (value - anchor_us).div_euclid(grain.rolling_us()) } else { value - grain.index(anchor_us) };
        usize::try_from(period).ok().filter(|period| *period < periods)
    }

    fn take(&mut self, emit: EmitTo) -> (Vec<Option<i64>>, Grouped<i64>) {
        drop(emit.take_needed(&mut self.newest));
        (emit.take_needed(&mut self.anchors), self.activity.take(emit))
    }
}

fn is_true(values: &BooleanArray, row: usize) -> bool {
    values.is_valid(row) && values.value(row)
}

impl GroupsAccumulator for CohortGroups {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, total: usize) -> Result<()> {
        self.grow(total);
        let times = values[self.first].as_primitive::<TimestampMicrosecondType>();
        let (anchors, activity) = (values[self.first + 1].as_boolean(), values[self.first + 2].as_boolean());
        for (row, group) in groups.iter().enumerate() {
            if times.is_null(row) || filter.is_some_and(|filter| !is_true(filter, row)) {
                continue;
            }
            let at_us = times.value(row);
            if is_true(anchors, row) {
                self.anchor(*group, at_us);
            }
            if is_true(activity, row) {
                let value = if self.rule.is_rolling { at_us } else { self.rule.grain.index(at_us) };
                self.active(*group, value)?;
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], _: Option<&BooleanArray>, total: usize) -> Result<()> {
        self.grow(total);
        let [anchors, activity] = values else { return Ok(()) };
        let (anchors, activity) = (anchors.as_primitive::<Int64Type>(), activity.as_list::<i32>());
        for (row, group) in groups.iter().enumerate() {
            if anchors.is_valid(row) {
                self.anchor(*group, anchors.value(row));
            }
            for value in activity.value(row).as_primitive::<Int64Type>().values() {
                self.active(*group, *value)?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let (anchors, grouped) = self.take(emit);
        let mut active = BooleanBuilder::with_capacity(anchors.len() * self.rule.periods);
        let mut periods = vec![false; self.rule.periods];
        for (anchor, values) in anchors.iter().zip(grouped.groups()) {
            periods.fill(false);
            let found = values.iter().filter_map(|index| self.period((*anchor)?, grouped.rows[*index as usize]));
            found.for_each(|period| periods[period] = true);
            active.append_slice(&periods);
        }
        let grain = self.rule.grain;
        let cohorts = anchors.iter().map(|anchor| anchor.map(|at| grain.start(grain.index(at))));
        let cohorts: TimestampMicrosecondArray = cohorts.collect();
        let known = NullBuffer::from_iter(anchors.iter().map(Option::is_some));
        let offsets = OffsetBuffer::from_repeated_length(self.rule.periods, anchors.len());
        let field = Arc::new(Field::new_list_field(DataType::Boolean, true));
        let active = ListArray::new(field, offsets, Arc::new(active.finish()), None);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(cohorts.with_timezone("+00:00")),
            Arc::new(TimestampMicrosecondArray::from(anchors).with_timezone("+00:00")),
            Arc::new(active),
        ];
        Ok(Arc::new(StructArray::new(fields(), columns, Some(known))))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let (anchors, grouped) = self.take(emit);
        let values = Int64Array::from_iter_values(grouped.column(|value| *value));
        let field = Arc::new(Field::new_list_field(DataType::Int64, true));
        let activity = ListArray::new(field, OffsetBuffer::from_lengths(grouped.lengths()), Arc::new(values), None);
        Ok(vec![Arc::new(Int64Array::from(anchors)), Arc::new(activity)])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values[self.first].len();
        let mut alone = Self::new(self.rule, self.first);
        alone.update_batch(values, &(0..rows).collect::<Vec<_>>(), filter, rows)?;
        alone.state(EmitTo::All)
    }

    fn supports_convert_to_state(&self) -> bool {
        true
    }

    fn size(&self) -> usize {
        let each = size_of::<Option<i64>>() * 2;
        size_of::<Self>() + self.anchors.capacity() * each + self.activity.size()
    }
}
